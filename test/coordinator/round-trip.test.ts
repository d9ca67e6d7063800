/** What is exported and imported again: the same board, whatever its tasks and sessions are called. */
import test from 'ava';
import fc from 'fast-check';
import type { TaskView } from '#schemas/task-view';
import { exportFiles } from '../../actors/coordinator/export/files.ts';
import { type ImportPlan, planImport } from '../../actors/coordinator/import/plan.ts';
import { readFiles } from '../../actors/coordinator/import/read.ts';
import { isEveryday } from '../rig/tier.ts';
import { taskView } from './views.ts';

const RUNS = isEveryday ? 40 : 200;

const SESSIONS = ['ndi', 'Ndi', 'worker.1', '7', 'a_b', 'none', 'session-2-x', 'IF.bus', 'x:y'];

function back(tasks: readonly TaskView[], known: readonly TaskView[]): ImportPlan {
  const files = [...exportFiles(tasks, 'r')].map(([file, text]) => ({ file, text }));
  return planImport(readFiles(files, new Map(known.map(({ id, deps }) => [id, deps]))), known, []);
}

const id = fc
  .stringMatching(/^[A-Za-z][A-Za-z0-9._@=:-]{0,8}[A-Za-z0-9]$/)
  .filter((one) => !/^(?:n\/?a|any|tbd|all|null|none)$/i.test(one));
const word = fc.stringMatching(/^[a-z][a-z0-9:.]{3,8}$/);
const task = fc.record({
  id,
  title: fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join(' ')),
  owner: fc.option(fc.constantFrom(...SESSIONS)),
  status: fc.constantFrom('available', 'claimed', 'in_progress', 'blocked', 'completed' as const),
  requires: fc.uniqueArray(word, { maxLength: 3 }),
  priority: fc.integer({ min: -5, max: 5 }),
  kind: fc.option(fc.constantFrom('code', 'Docs and tests')),
  on: id,
  hours: fc.option(fc.integer({ min: 1, max: 40 })),
  filler: fc.boolean(),
  deps: fc.array(fc.nat({ max: 20 }), { maxLength: 3 }),
});
const board = fc
  .uniqueArray(task, { selector: ({ id: own }) => own, minLength: 1, maxLength: 8 })
  .map((tasks) =>
    tasks.map(({ owner, status, on, hours, deps, ...rest }, n): TaskView => {
      const isFree = status === 'available';
      return taskView(rest.id, {
        ...rest,
        status,
        owner,
        worker: isFree ? null : `session/${owner ?? 'someone'}`,
        milestone: status === 'in_progress' ? 40 : 0,
        blockedOn: status === 'blocked' ? { on, kind: 'resource', since: 1 } : null,
        estimate: { hours, costMicros: null },
        // What others wait for, and is not done, could not have been begun.
        deps: isFree ? [...new Set(deps.filter((at) => at < n).map((at) => tasks[at]?.id ?? ''))] : [],
      });
    }),
  );

test('in the same realm nothing changes', (t) => {
  fc.assert(
    fc.property(board, (tasks) => {
      const sessions = new Set(tasks.flatMap(({ worker }) => worker ?? []));
      const { changes, add } = back(tasks, tasks);
      t.deepEqual(add, []);
      // A session that is not registered is told once.
      t.deepEqual(
        changes.filter(({ on }) => !sessions.has(on)),
        [],
      );
    }),
    { numRuns: RUNS, seed: 12 },
  );
  t.pass();
});

test('in another realm the same tasks stand as they stood', (t) => {
  fc.assert(
    fc.property(board, (tasks) => {
      const { add, steps } = back(tasks, []);
      const given = (one: Partial<TaskView> & { readonly id: string }) => ({
        id: one.id,
        title: one.title,
        deps: [...(one.deps ?? [])],
        requires: [...(one.requires ?? [])],
        priority: one.priority ?? 0,
        kind: one.kind ?? null,
        filler: one.filler ?? false,
      });
      const sorted = <T extends { readonly id: string }>(all: readonly T[]): T[] =>
        all.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      t.deepEqual(sorted(add.map((spec) => given(spec as never))), sorted(tasks.map(given)));
      const said = (type: string): string[] =>
        steps.filter(({ event }) => event.type === type).map(({ as, address }) => `${as} ${address}`);
      const by = (...statuses: readonly string[]): string[] =>
        tasks.filter(({ status }) => statuses.includes(status)).map((one) => `${one.worker} task/${one.id}`);
      t.deepEqual(said('task.claim').sort(), by('claimed', 'in_progress', 'blocked', 'completed').sort());
      t.deepEqual(said('task.block').sort(), by('blocked').sort());
      t.deepEqual(said('task.complete').sort(), by('completed').sort());
    }),
    { numRuns: RUNS, seed: 12 },
  );
  t.pass();
});

test('sessions whose names differ in letters that no file can tell have a file each', (t) => {
  const mine = (name: string) => ({ worker: `session/${name}`, status: 'claimed' as const });
  const files = exportFiles(
    [taskView('A', mine('x:y')), taskView('B', mine('X_Y')), taskView('C', mine('x_y'))],
    'r',
  );
  t.is([...files.keys()].filter((name) => name.startsWith('STATUS-')).length, 3);
});
