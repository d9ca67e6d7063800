/** The workers of a realm, as its nodes know them. */
import { listWorkers } from '#actors/coordinator/views';
import type { Realm } from '#runtime/cli/realm';
import type { WorkerView } from '#schemas/worker';

/** Ordered by name. */
export async function workersOf({ connection, subjects, ...realm }: Realm): Promise<readonly WorkerView[]> {
  const shards = await realm.shardCount();
  const workers = await listWorkers({ nc: connection, subjects, shards });
  return workers.sort((a, b) => (a.id < b.id ? -1 : 1));
}
