/** What the coordinator takes: claims that are raced for, the push of new tasks to watchers, work found for who waits. */
import { CLAIM, claimRace } from './claim-race.ts';
import { NEXT, nextTask } from './next-task.ts';
import { startRealm } from './realm.ts';
import type { Suite } from './suite.ts';
import { PUSH, taskPush } from './task-push.ts';

const DURABILITIES = ['strict', 'relaxed'] as const;

export const coordinator: Suite = {
  benches: [CLAIM, PUSH, NEXT],
  async *run(wanted, { scale, profileDir }) {
    for (const durability of DURABILITIES) {
      await using realm = await startRealm({ durability, profileDir });
      if (wanted(CLAIM)) yield* claimRace(realm, durability, scale);
      // The board has the tasks of the race by then.
      if (wanted(PUSH)) yield await taskPush(realm, durability, scale);
      if (wanted(NEXT)) yield await nextTask(realm, durability, scale);
    }
  },
};
