/** Realm configs that several tests use. */
import { resolve } from 'node:path';
import type { Recorder } from './load.ts';

/** Ledgers that come to life with their first message. */
export function ledgerConfig(shards: number, recorder?: Recorder): Readonly<Record<string, unknown>> {
  return {
    shards,
    kinds: {
      ledger: {
        machine: `${resolve(import.meta.dirname, 'ledger.ts')}#ledger`,
        spawnOnMessage: true,
        door: 'open',
      },
    },
    ...(recorder !== undefined && { drivers: { http: { allowHosts: [recorder.host] } } }),
  };
}
