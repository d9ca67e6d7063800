/** Program of the push benchmark: adds tasks and watches them, as its argument says, and writes what it measured as JSON. */
import { openCoordinator } from '#actors/coordinator/client';
import type { CoordinatorClient } from '#actors/coordinator/types';
import { connect } from '#runtime/client/node';
import type { Realm } from './realm.ts';

export interface PushWish {
  readonly address: Realm['address'];
  readonly watchers: number;
  /** Tasks that are not counted. */
  readonly first: number;
  readonly pushed: number;
}

/** When what was wished for was known to whom, ms after the wish; one of each task, but `heard`. */
export interface PushTimes {
  /** To who added it: it is in the log of the board. */
  readonly added: number[];
  /** To the first watcher. */
  readonly first: number[];
  /** To each watcher. */
  readonly heard: number[];
}

await using stack = new AsyncDisposableStack();
const { address, watchers, first, pushed } = JSON.parse(process.argv[2] ?? '') as PushWish;
const operator = await coordinatorOf('operator/pusher');
let hear: (task: string, at: number) => void = () => {};
await Promise.all(
  Array.from({ length: watchers }, async (_, n) => {
    const watcher = await coordinatorOf(`session/v${n}`);
    stack.defer(
      watcher.watch({ task: '*', events: ['task.available'] }, (news) => {
        if (news.kind === 'task') hear(news.task.id, performance.now());
      }),
    );
    // The server knows of the subscription once it has answered.
    await watcher.task('none');
  }),
);
await push('warm', first);
process.stdout.write(`${JSON.stringify(await push('p', pushed))}\n`);

async function push(prefix: string, count: number): Promise<PushTimes> {
  const times: PushTimes = { added: [], first: [], heard: [] };
  for (let n = 0; n < count; n += 1) {
    const id = `${prefix}${n}`;
    const all = Promise.withResolvers<void>();
    let left = watchers;
    const start = performance.now();
    hear = (task, at) => {
      if (task !== id) return;
      if (left === watchers) times.first.push(at - start);
      times.heard.push(at - start);
      left -= 1;
      if (left === 0) all.resolve();
    };
    await operator.addTasks([{ id }]);
    times.added.push(performance.now() - start);
    await all.promise;
  }
  return times;
}

async function coordinatorOf(from: string): Promise<CoordinatorClient> {
  const client = await connect({ ...address, from });
  stack.defer(() => client.close());
  return stack.use(openCoordinator(client));
}
