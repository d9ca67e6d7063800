/**
 * How soon a worker that is done with a task is offered the next one, on a board of many: sessions that the realm finds work
 * for claim what they are offered, complete it, and are offered the next.
 */
import { openCoordinator } from '#actors/coordinator/client';
import type { CoordinatorClient } from '#actors/coordinator/types';
import { connect } from '#runtime/client/node';
import { quantile } from './measure.ts';
import { usageOf } from './process.ts';
import type { Durability, Realm } from './realm.ts';
import { type Row, rounded, row } from './row.ts';

export const NEXT = 'next task';

const SESSIONS = 8;
/** The board has those of the races and of the push already, and takes 20,000. */
const TASKS = 7_000;
const DONE = 1_000;
const ADDED_AT_ONCE = 500;
/** Nobody else's work. */
const CAPABILITY = 'bench:next';

export async function nextTask(realm: Realm, durability: Durability, scale: number): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const open = async (from: string): Promise<CoordinatorClient> => {
    const client = await connect({ ...realm.address, from });
    stack.defer(() => client.close());
    return stack.use(openCoordinator(client, { leaseMs: 600_000 }));
  };
  const operator = await open('operator/planner');
  const tasks = Math.max(100, Math.ceil(TASKS * scale));
  await fill(operator, tasks);
  const workers = await Promise.all(
    Array.from({ length: SESSIONS }, async (_, n) => {
      const worker = await open(`session/n${n}`);
      return { worker, offered: offersTo(worker, `n${n}`) };
    }),
  );
  let left = Math.min(tasks - SESSIONS, Math.max(40, Math.ceil(DONE * scale)));
  const waits: number[] = [];
  const [before, began] = [cpuOf(realm), performance.now()];
  await Promise.all(
    workers.map(async ({ worker, offered }) => {
      let since = performance.now();
      await worker.registerSession({ capabilities: [CAPABILITY] });
      while (left > 0) {
        const id = await offered();
        waits.push(performance.now() - since);
        left -= 1;
        if ((await worker.claim(id)).won) await worker.complete(id);
        since = performance.now();
      }
    }),
  );
  const elapsedMs = performance.now() - began;
  const times = Float64Array.from(waits).sort();
  return row(`${NEXT} ${durability}: ${SESSIONS} sessions, a board of ${tasks} that wait`, {
    opsPerSec: Math.round((waits.length * 1_000) / elapsedMs),
    p50Ms: rounded(quantile(times, 0.5), 3),
    p99Ms: rounded(quantile(times, 0.99), 3),
    nodeCpuMs: rounded((cpuOf(realm) - before) / 1_000 / waits.length, 2),
  });
}

async function fill(operator: CoordinatorClient, tasks: number): Promise<void> {
  const specs = Array.from({ length: tasks }, (_, n) => ({
    id: `n${n}`,
    requires: [CAPABILITY],
    priority: 1,
  }));
  for (let from = 0; from < tasks; from += ADDED_AT_ONCE) {
    const reply = await operator.addTasks(specs.slice(from, from + ADDED_AT_ONCE));
    if (!reply.accepted) throw new Error(reply.reason);
  }
  // The last task hears of itself last.
  while ((await operator.task(`n${tasks - 1}`))?.status !== 'available');
}

/** Gives the tasks that a session is offered from now on, one after the other. */
function offersTo(worker: CoordinatorClient, session: string): () => Promise<string> {
  const ids: string[] = [];
  let wake = (): void => {};
  worker.watch({ session, events: ['session.offered'] }, (news) => {
    if (news.kind !== 'session') return;
    ids.push(String(news.details['task']));
    wake();
  });
  return async () => {
    for (;;) {
      const id = ids.shift();
      if (id !== undefined) return id;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}

function cpuOf({ node }: Realm): number {
  return usageOf(node.pid)?.cpuUs ?? 0;
}
