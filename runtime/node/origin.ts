import type { RealmConfig } from '#schemas/config';

/** First line of the realm's checkpoints. */
export function originOf({ realm, witness }: Pick<RealmConfig, 'realm' | 'witness'>): string {
  return witness.origin ?? `infrafabric/${realm}`;
}
