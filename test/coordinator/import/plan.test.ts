import test from 'ava';
import type { SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import type { Desk, Saying } from '../../../actors/coordinator/desk.ts';
import { applyPlan } from '../../../actors/coordinator/import/apply.ts';
import { type ImportPlan, planImport } from '../../../actors/coordinator/import/plan.ts';
import { readFiles } from '../../../actors/coordinator/import/read.ts';
import { taskView } from '../views.ts';

function plan(
  text: string,
  tasks: readonly TaskView[] = [],
  sessions: readonly SessionView[] = [],
): ImportPlan {
  const files = text.split('\n---\n').map((part, n) => ({ file: `${n}.yaml`, text: part }));
  return planImport(readFiles(files, new Map(tasks.map(({ id, deps }) => [id, deps]))), tasks, sessions);
}

const about = ({ steps }: ImportPlan, id: string): string[] =>
  steps
    .filter(({ address }) => address === `task/${id}`)
    .map(({ as, event }) => `${as ?? 'me'} ${event.type}`);
const lines = ({ changes }: ImportPlan): string[] =>
  changes.filter(({ on }) => on.startsWith('task/')).map(({ sign, on, what }) => `${sign} ${on} ${what}`);

test('what waits for each other is completed in an order in which it can be', (t) => {
  const { steps } = plan(
    'tasks: [{ id: A, deps: [B] }, { id: B, deps: [C] }, { id: C }]\n---\nsession: s\ncompleted: A\n---\nsession: s\ncompleted: B\n---\nsession: s\ncompleted: C',
  );
  t.deepEqual(
    steps.filter(({ event }) => event.type === 'task.complete').map(({ address }) => address),
    ['task/C', 'task/B', 'task/A'],
  );
});

test('a task that still waits is not claimed for anybody, and told with the reason', (t) => {
  const held = plan(
    'tasks: [{ id: A, deps: [B] }, { id: B }]\n---\nsession: s\ncurrent_task: A\nmilestone: 10%',
  );
  t.deepEqual(about(held, 'A'), []);
  t.true(
    lines(held).includes('! task/A in_progress here, but it waits for B: import again once that is done'),
  );
});

test('a task only goes forward: what the board knows beyond a file stays', (t) => {
  const file = 'tasks: [{ id: A }]\n---\nsession: s\ncurrent_task: A\nmilestone: 40%\nnext_action: more';
  const mine = { worker: 'session/s' } as const;
  t.deepEqual(about(plan(file, [taskView('A')]), 'A'), ['session/s task.claim', 'session/s task.progress']);
  t.deepEqual(about(plan(file, [taskView('A', { ...mine, status: 'claimed' })]), 'A'), [
    'session/s task.progress',
  ]);
  for (const milestone of [40, 70]) {
    const there = taskView('A', { ...mine, status: 'in_progress', milestone, title: '' });
    t.deepEqual(about(plan(file, [there]), 'A'), [], `${milestone} %`);
  }
  const done = plan(file, [taskView('A', { ...mine, status: 'completed', milestone: 100 })]);
  t.deepEqual(about(done, 'A'), []);
  t.deepEqual(lines(done), ['! task/A is completed on the board, in_progress here: left as it is']);
  const others = plan(file, [taskView('A', { worker: 'session/other', status: 'claimed' })]);
  t.deepEqual(lines(others), ['! task/A session/other has it on the board, session/s here: left as it is']);
});

test('a task meant for another is not claimed, one blocked on what is done is not blocked', (t) => {
  const other = plan('tasks: [{ id: A, owner: x }]\n---\nsession: s\nclaiming: A');
  t.deepEqual(about(other, 'A'), []);
  const free = plan(
    'tasks: [{ id: A }, { id: B }]\n---\nsession: s\ncompleted: B\n---\nsession: s\ncurrent_task: A\nblocked_on: B',
  );
  t.false(about(free, 'A').includes('session/s task.block'));
  const blocked = plan(
    'tasks: [{ id: A }, { id: B }]\n---\nsession: s\ncurrent_task: A\nblocked_on: B\nhelp_wanted: true',
  );
  t.deepEqual(about(blocked, 'A'), ['session/s task.claim', 'session/s task.block', 'session/s task.help']);
});

test('news about a blocked task unblock it while they are told, and a second import has nothing to do', (t) => {
  const file = (more: string) =>
    `tasks: [{ id: A }]\n---\nsession: s\ncurrent_task: A\nmilestone: 60%\n${more}`;
  const boss = file('blocked_on: boss\nhelp_wanted: true');
  const blockedOn = { on: 'boss', kind: 'person', since: 1 } as const;
  const there = { worker: 'session/s', status: 'blocked', title: '', blockedOn } as const;
  const still = plan(boss, [taskView('A', { ...there, milestone: 40 })]);
  t.deepEqual(about(still, 'A'), [
    'session/s task.unblock',
    'session/s task.progress',
    'session/s task.block',
    'session/s task.help',
  ]);
  t.deepEqual(lines(still), ['~ task/A unblocked; 60 %; blocked on boss; help wanted']);
  t.like(still.steps.find(({ event }) => event.type === 'task.block')?.event, { on: 'boss', kind: 'person' });
  const helpWanted = { requires: [], reason: null };
  t.deepEqual(about(plan(boss, [taskView('A', { ...there, milestone: 60, helpWanted })]), 'A'), []);
  const goesOn = plan(file(''), [taskView('A', { ...there, milestone: 40 })]);
  t.deepEqual(about(goesOn, 'A'), ['session/s task.unblock', 'session/s task.progress']);
  const done = { worker: 'session/s', status: 'in_progress', title: '', milestone: 60 } as const;
  t.deepEqual(about(plan(file(''), [taskView('A', done)]), 'A'), []);
});

test('titles and priorities follow the file, the graph of the board does not', (t) => {
  const there = [taskView('A', { title: 'Old', deps: ['B'], owner: 'x' }), taskView('B', { title: 'B' })];
  const changed = plan('tasks: [{ id: A, title: New, priority: 3, owner: y }, { id: B }]', there);
  t.deepEqual(lines(changed), [
    '~ task/A title "Old" → "New"',
    '~ task/A priority 0 → 3',
    '! task/A is meant for x on the board, for y here: left as it is',
  ]);
  t.deepEqual(changed.steps.at(-1)?.event, { type: 'task.amend', title: 'New', priority: 3 });
  t.deepEqual(
    lines(
      plan('tasks: [{ id: A, deps: [] }, { id: B, deps: [A] }]', [
        taskView('A', { title: '' }),
        taskView('B'),
      ]),
    ),
    ['! task/B waits for nothing on the board, for A here: left as it is'],
  );
});

test('states without a session are done by nobody in particular, cancelled ones by who imports', (t) => {
  const text =
    '| Task | Status |\n|---|---|\n| A: One | done |\n| B: Two | cancelled |\n| C: Three | failed |';
  const wanted = readFiles([{ file: 'b.md', text }]);
  const { steps } = planImport(wanted, [], []);
  t.deepEqual(
    steps.map(({ as, event }) => `${as ?? 'me'} ${event.type}`),
    [
      'session/imported task.claim',
      'session/imported task.complete',
      'me task.cancel',
      'session/imported task.claim',
      'session/imported task.fail',
    ],
  );
});

test('an import says what a session can do, and brings none to life', (t) => {
  const file = 'sessions: [{ id: s, capabilities: [x] }]\ntasks: [{ id: A }]';
  const register = { type: 'session.register', keep: true, capabilities: ['x'] };
  const ofSession = (...sessions: SessionView[]) =>
    plan(file, [], sessions)
      .steps.filter(({ address }) => address === 'session/s')
      .map(({ event }) => event);
  t.deepEqual(ofSession(), [register]);
  t.deepEqual(ofSession({ id: 's', status: 'gone', capabilities: ['y'] } as unknown as SessionView), [
    register,
  ]);
});

const DESK: Omit<Desk, 'say'> = {
  as: 'operator/me',
  tasks: async () => [],
  task: async () => undefined,
  sessions: async () => [],
  session: async () => undefined,
  addTasks: async () => ({ accepted: true, added: [], known: [], missing: [] }),
  clientOf: () => {
    throw new Error('not used');
  },
};

test('applying waits for what is in the mail, and a refusal stops the steps of its task alone', async (t) => {
  const said: string[] = [];
  const answers = new Map([
    ['task/A task.claim', ['not_available', 'not_available', 'ok']],
    ['task/B task.claim', ['already_claimed']],
  ]);
  const answer = (key: string) => {
    const code = answers.get(key)?.shift() ?? 'ok';
    return code === 'ok'
      ? ({ accepted: true, status: 'claimed', milestone: 0, token: 1 } as const)
      : ({ accepted: false, code: code as 'not_available', reason: code, status: 'waiting' } as const);
  };
  const refusals = await applyPlan(
    plan('tasks: [{ id: A }, { id: B }]\n---\nsession: s\ncompleted: A\n---\nsession: s\ncompleted: B'),
    {
      ...DESK,
      say: async (address: string, event: Saying) => {
        said.push(`${address} ${event.type}`);
        return answer(`${address} ${event.type}`);
      },
    },
  );
  t.deepEqual(
    refusals.map(({ step, reason }) => [step.address, reason]),
    [['task/B', 'already_claimed']],
  );
  t.is(said.filter((one) => one === 'task/A task.claim').length, 3);
  t.true(said.includes('task/A task.complete'));
  t.false(said.includes('task/B task.complete'));
});

test('a claim that the governor is asked about is done when it permits it, and refused when it does not', async (t) => {
  const said: string[] = [];
  const looks = new Map<string, number>();
  const refusals = await applyPlan(
    plan(
      'tasks: [{ id: A }, { id: B }]\n---\nsession: s\ncurrent_task: A\nmilestone: 40%\n---\nsession: r\ncompleted: B',
    ),
    {
      ...DESK,
      // The governor answers between the first look and the second: yes to s, no to r.
      task: async (id) => {
        const look = (looks.get(id) ?? 0) + 1;
        looks.set(id, look);
        const [worker, isGood] = id === 'A' ? ['session/s', true] : ['session/r', false];
        const check = { worker, permitted: look === 1 ? null : isGood, verdict: null };
        return taskView(id, { check, ...(look > 1 && isGood && { status: 'claimed', worker }) });
      },
      say: async (address: string, { type }: Saying) => {
        said.push(`${address} ${type} after ${looks.get(address.slice('task/'.length)) ?? 0}`);
        const claimed = { accepted: true, status: 'available', milestone: 0, token: 0 } as const;
        return type === 'task.claim' ? { ...claimed, checking: true } : claimed;
      },
    },
  );
  t.deepEqual(
    refusals.map(({ step, reason }) => [step.address, step.event.type, reason]),
    [['task/B', 'task.claim', 'the governor did not answer']],
  );
  t.deepEqual(
    said.filter((one) => one.startsWith('task/')),
    ['task/A task.claim after 0', 'task/A task.progress after 2', 'task/B task.claim after 0'],
  );
});
