/**
 * The push of new tasks to watchers, each with a connection of its own: the time from the wish to add a task until each of
 * them has heard that it is there to be claimed. One task at a time: nothing queues but the news of one and the same task.
 */
import { openCoordinator } from '#actors/coordinator/client';
import type { CoordinatorClient } from '#actors/coordinator/types';
import { connect } from '#runtime/client/node';
import { quantile } from './measure.ts';
import type { Durability, Realm } from './realm.ts';
import { type Row, rounded, row } from './row.ts';

export const PUSH = 'push of a new task';

const WATCHERS = 100;
const PUSHED = 300;

/** When what was wished for was known to whom, ms after the wish; one of each task, but `heard`. */
interface Times {
  /** To who added it: it is in the log of the board. */
  readonly added: number[];
  /** To the first watcher. */
  readonly first: number[];
  /** To each watcher. */
  readonly heard: number[];
}

export async function taskPush(realm: Realm, durability: Durability, scale: number): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const operator = await coordinatorOf(realm, 'operator/pusher', stack);
  let hear: (task: string, at: number) => void = () => {};
  await Promise.all(
    Array.from({ length: WATCHERS }, async (_, n) => {
      const watcher = await coordinatorOf(realm, `session/v${n}`, stack);
      stack.defer(
        watcher.watch({ task: '*', events: ['task.available'] }, (news) => {
          if (news.kind === 'task') hear(news.task.id, performance.now());
        }),
      );
      // The server knows of the subscription once it has answered.
      await watcher.task('none');
    }),
  );
  const times: Times = { added: [], first: [], heard: [] };
  for (let n = 0; n < Math.max(10, Math.ceil(PUSHED * scale)); n += 1) {
    const id = `p${n}`;
    const all = Promise.withResolvers<void>();
    let left = WATCHERS;
    const start = performance.now();
    hear = (task, at) => {
      if (task !== id) return;
      if (left === WATCHERS) times.first.push(at - start);
      times.heard.push(at - start);
      left -= 1;
      if (left === 0) all.resolve();
    };
    await operator.addTasks([{ id }]);
    times.added.push(performance.now() - start);
    await all.promise;
  }
  return row(`${PUSH} ${durability} to ${WATCHERS} watchers, from the wish to add it`, {
    p50Ms: at(times.heard, 0.5),
    p99Ms: at(times.heard, 0.99),
    firstP50Ms: at(times.first, 0.5),
    firstP99Ms: at(times.first, 0.99),
    addedP50Ms: at(times.added, 0.5),
    addedP99Ms: at(times.added, 0.99),
  });
}

async function coordinatorOf(
  realm: Realm,
  from: string,
  stack: AsyncDisposableStack,
): Promise<CoordinatorClient> {
  const client = await connect({ ...realm.address, from });
  stack.defer(() => client.close());
  return stack.use(openCoordinator(client));
}

function at(times: readonly number[], q: number): number {
  return rounded(quantile(Float64Array.from(times).sort(), q), 3);
}
