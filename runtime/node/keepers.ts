/**
 * What looks after the realm beside its shards: archive, webhooks, witness. No ask waits for any of it, so a node loads
 * and opens it once its doors are open, and only what its config has.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import { systemClock, systemRandom } from '#runtime/bus/system';
import type { LeaseStore } from '#runtime/claims/lease-store';
import type { KeyRegistry } from '#runtime/edge/keys';
import type { Logger } from '#runtime/shard/ports';
import type { WitnessService } from '#runtime/witness/service/service';
import type { RealmConfig } from '#schemas/config';
import type { ApiServer } from './api-server.ts';
import { ArchiveKeeper } from './archive.ts';
import type { OwnKeys } from './own-keys.ts';
import type { Resources } from './resources.ts';

export interface KeeperParts {
  readonly nodeId: string;
  readonly config: RealmConfig;
  /** Files of the config are relative to it. */
  readonly baseDir: string;
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly leases: LeaseStore;
  readonly api: ApiServer;
  readonly keys: KeyRegistry;
  readonly ownKeys: OwnKeys;
  readonly logger: Logger;
}

/** Resolves with the witness where the config has one. Throws `cosigner_bad_key`, `policy_bad` and what webhooks throw. */
export async function openKeepers(
  parts: KeeperParts,
  resources: Resources,
): Promise<WitnessService | undefined> {
  const { config, keys, ownKeys } = parts;
  const shared = { ...parts, clock: systemClock, random: systemRandom };
  const archive = new ArchiveKeeper(shared);
  resources.use(archive);
  archive.start();
  if (config.webhooks.length > 0) {
    const { WebhookKeeper } = await import('#runtime/webhooks/keeper');
    resources.use(await WebhookKeeper.open(shared));
  }
  if (!config.witness.enabled) return undefined;
  const { openWitness } = await import('./witness.ts');
  const witness = openWitness(parts);
  resources.use(witness);
  witness.start();
  keys.onRevoked((kid) => {
    if (ownKeys.isSigner(kid)) witness.renew();
  });
  return witness;
}
