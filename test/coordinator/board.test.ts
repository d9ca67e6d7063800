import test from 'ava';
import type { LogItem } from '#runtime/cli/render/log';
import { palette } from '#runtime/cli/render/palette';
import type { Entry } from '#schemas/commit';
import type { FabricError } from '#schemas/fabric-error';
import { profileSchema, type SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import { keptOf, wordOf } from '../../actors/coordinator/cli/kept.ts';
import { refused } from '../../actors/coordinator/cli/refusal.ts';
import { boardLines } from '../../actors/coordinator/pictures/board.ts';
import { sessionLines, sessionTable, taskLines } from '../../actors/coordinator/pictures/one-task.ts';
import { storyOf } from '../../actors/coordinator/story.ts';
import { reasonsOf } from '../../actors/coordinator/why.ts';
import { taskView } from './views.ts';

const plain = palette(false);
const place = { palette: plain, width: 120 };
const now = Date.parse('2026-01-31T12:00:00Z');

function session(id: string, more: Partial<SessionView> = {}): SessionView {
  return {
    id,
    status: 'idle',
    capabilities: [],
    profile: profileSchema.parse({}),
    swarm: null,
    weight: 1,
    lateBloomer: false,
    tasks: [],
    offered: null,
    completed: 0,
    failed: 0,
    changedAt: null,
    ...more,
  };
}

const BUSY = [
  taskView('A10', { status: 'waiting', deps: ['A2'], waitingFor: ['A2'], owner: 'sip' }),
  taskView('A2', {
    status: 'blocked',
    worker: 'session/bus',
    milestone: 40,
    blockedOn: { on: 'ann', kind: 'person', since: now - 60_000 },
    needsPerson: true,
    estimate: { hours: 5, costMicros: null },
  }),
  taskView('A3', { status: 'in_progress', worker: 'session/cli', milestone: 50, staleAt: now - 1_000 }),
  taskView('A1', { status: 'completed', worker: 'session/cli', milestone: 100 }),
  taskView('F1', { filler: true }),
];

test('a board by status says at each task what one should know, and below what stands in the way', (t) => {
  const lines = boardLines({ tasks: BUSY, sessions: [], by: 'status', now }, place);
  t.is(lines[0], '5 tasks: 1 in progress, 1 blocked, 1 available, 1 waiting, 1 completed');
  const text = lines.join('\n');
  t.regex(text, /in progress \(1\)\n +◐ +A3 .*cli +50 % +silent, told 1 s ago/);
  t.regex(text, /blocked \(1\)\n +■ +A2 .*bus +40 % +blocked on ann, 1 m, needs a person/);
  t.regex(text, /waiting \(1\)\n +· +A10 .*\(sip\) +after A2/);
  t.regex(text, /longest chain +A2 → A10 +4 h/);
  t.regex(text, /time left +4 h, however many work/);
  t.regex(text, /most wait for +A2 \(1\)/);
  t.regex(text, /2 tasks without an estimate/);
});

test('a board of some tasks only has the figures of all: what is not shown is not missing', (t) => {
  const chosen = BUSY.filter(({ status }) => status === 'waiting');
  const lines = boardLines({ tasks: BUSY, chosen, sessions: [], by: 'status', now }, place);
  const whole = boardLines({ tasks: BUSY, sessions: [], by: 'status', now }, place);
  t.is(lines[0], `${whole[0]} (1 shown)`);
  t.is(lines.length, 2 + 2 + 5);
  t.regex(lines.slice(2, 4).join('\n'), /^waiting \(1\)\n +· +A10 .*after A2$/);
  t.deepEqual(lines.slice(-5), whole.slice(-5));
});

test('a board by worker, with the time that the sessions at work need', (t) => {
  const sessions = [session('bus'), session('cli'), session('sip'), session('off', { status: 'gone' })];
  const lines = boardLines({ tasks: BUSY, sessions, by: 'worker', now }, place);
  t.deepEqual(
    lines.filter((line) => /^\S.*\(\d+\)$/.test(line) && !line.startsWith('most')),
    ['bus (1)', 'cli (2)', 'sip (1)', 'anyone (1)'],
  );
  t.true(lines.some((line) => /time left +4 h with 3 sessions at work/.test(line)));
});

test('a board that is higher than the terminal is cut, its figures are not', (t) => {
  const many = Array.from({ length: 100 }, (_, n) => taskView(`T${n}`));
  const lines = boardLines({ tasks: many, sessions: [], by: 'status', now }, { ...place, height: 20 });
  t.true(lines.length <= 20);
  t.true(lines.some((line) => /^… \d+ more$/.test(line)));
  t.true(lines.some((line) => line.startsWith('longest chain')));
});

test('a board whose work is over says so', (t) => {
  const lines = boardLines(
    { tasks: [taskView('A', { status: 'completed' })], sessions: [], by: 'status', now },
    place,
  );
  t.is(lines.at(-1), 'Nothing is left to do.');
});

test('a board on which all that is left stands in circles names them, and no chain', (t) => {
  const blocked = (id: string, on: string) =>
    taskView(id, { status: 'blocked', blockedOn: { on, kind: 'task', since: now } });
  const lines = boardLines(
    {
      tasks: [
        blocked('A', 'B'),
        taskView('B', { deps: ['A'] }),
        blocked('C', 'D'),
        taskView('D', { deps: ['C'] }),
      ],
      sessions: [],
      by: 'status',
      now,
    },
    place,
  );
  t.false(lines.some((line) => line.startsWith('longest chain') || line.startsWith('Nothing is left')));
  t.true(lines.includes('circle: A → B → A, and in others C, D'));
});

test('what tasks and sessions say never reaches the terminal as control characters', (t) => {
  const evil = '\u001b[2J\nx';
  const task = taskView('A', {
    title: evil,
    note: evil,
    reason: evil,
    status: 'failed',
    deliverables: [evil],
    blockedOn: { on: evil, kind: 'person', since: now },
    waitingFor: [evil],
    requires: [evil],
  });
  const who = session('s', { capabilities: [evil], swarm: evil });
  for (const line of [
    ...taskLines(task, now, place),
    ...boardLines(
      {
        tasks: [task, taskView('B', { status: 'waiting', waitingFor: [evil], deps: [evil] })],
        sessions: [who],
        by: 'status',
        now,
      },
      place,
    ),
    ...sessionLines(who, now, place),
    ...sessionTable([who], place),
  ]) {
    t.notRegex(line, /\p{Cc}/u);
  }
});

test('what was handed in is shown, with what the gate said and who overrode it', (t) => {
  const task = taskView('A', {
    status: 'completed',
    worker: 'session/cli',
    token: 3,
    handedIn: { deliverable: 'p.go', testsPass: true },
    checks: [
      { check: 'ground', passed: true, missing: [] },
      { check: 'cost', passed: false, missing: ['what it cost'] },
    ],
    reason: 'overridden by operator/ann: later',
  });
  const text = taskLines(task, now, place).join('\n');
  t.regex(text, /handed in +p\.go\n +tests +pass\n +checks +ground passed\n/);
  t.regex(text, /reason +overridden by operator\/ann: later[\s\S]*the gate refused:\n +✗ cost: what it cost/);
  t.deepEqual(reasonsOf(task, [], []).slice(0, 3), [
    'session/cli completed it under token 3.',
    'Handed in: p.go.',
    'Its tests pass.',
  ]);
});

test('a refusal helps by who has the task, and nobody may', (t) => {
  const help = (code: string, more: Partial<TaskView>, as = 'session/bob') =>
    (refused(taskView('E1', more), { code, reason: 'no' }, as).error as FabricError).help;
  t.is(
    help('not_yours', {}),
    'You act as session/bob, and nobody has it: take it first with `infrafabric task claim E1 --as SESSION`. An operator may cancel it as it is.',
  );
  t.regex(help('not_yours', { status: 'waiting' }), /nobody has it: `infrafabric why E1`/);
  t.regex(help('not_yours', { status: 'claimed', worker: 'session/ann' }), /session\/ann has it/);
  t.regex(help('not_yours', { status: 'completed', worker: 'session/ann' }), /^It is completed: /);
  t.regex(
    help('not_permitted', {}, 'operator/o'),
    /nobody has it, so name who takes it with --as SESSION\.$/,
  );
  t.regex(help('meant_for_another', { owner: 'ann' }), /session\/ann \(--as ann\) may take it/);
});

test('a task that is added again keeps what it has, and says what was asked otherwise', (t) => {
  const task = taskView('E1', { title: 'One', priority: 2, estimate: { hours: 4, costMicros: null } });
  t.deepEqual(keptOf(task, { title: 'One', priority: 2, estimate: { hours: 4 } }), []);
  const kept = keptOf(task, { title: 'Two', priority: 2, retries: 3, owner: 'ann', deliverables: ['a'] });
  t.deepEqual(
    kept.map(([name, value]) => `${name}: ${wordOf(value)}`),
    ['title: One', 'owner: none', 'deliverable: none', 'retries: 0'],
  );
});

function entry(event: object, from: string | undefined, more: Partial<Entry> = {}): LogItem {
  const cause = { kind: 'ask', id: 'x', ...(from !== undefined && { from }) };
  return {
    shard: 1,
    index: 7,
    n: 0,
    at: now,
    entry: { actor: 'task/A', event, cause, ...more },
  } as unknown as LogItem;
}

const textsOf = (items: readonly LogItem[]): string[] => storyOf(items).map(({ text }) => text);

test('the story of a task is who got it, who did not, and why', (t) => {
  const told = storyOf([
    entry({ type: 'task.add', addedBy: 'operator/ann' }, 'board/main'),
    entry({ type: 'task.claim' }, 'session/a', { reply: { accepted: true, token: 9 } }),
    entry({ type: 'task.claim' }, 'session/b', { reply: { accepted: false, reason: 'session/a has it' } }),
    entry({ type: 'task.progress', milestone: 5 }, 'session/a', { reply: { accepted: true } }),
    entry({ type: 'task.get' }, 'session/a', { reply: {} }),
    entry({ type: 'xstate.done.actor.lease' }, '', { after: 'available' }),
    entry(
      { type: 'if.request', message: { from: 'if://session/b', content: { action: 'claim' } } },
      'session/b',
      { reply: { accepted: true, token: 11 } },
    ),
    entry({ type: 'task.block', on: 'ann', reason: 'keys' }, 'session/b', { reply: { accepted: true } }),
  ]);
  t.deepEqual(
    told.map(({ text }) => text),
    [
      'added by operator/ann',
      'session/a claimed it under token 9',
      'session/b wanted to claim it and was refused: session/a has it',
      'its lease ended: available again',
      'session/b claimed it under token 11',
      'session/b was blocked on ann: keys',
    ],
  );
  t.is(told[0]?.place, '1.7');
});

test('the story tells that a task was added once, however often it was asked for', (t) => {
  const add = (by: string, more: Partial<Entry>) =>
    entry({ type: 'task.add', addedBy: `operator/${by}` }, 'board/main', more);
  const error = { code: 'bad', message: 'no', retryable: false };
  t.deepEqual(
    textsOf([
      add('eve', { op: 'dead', error, before: 'absent' }),
      add('ann', { before: 'absent', after: 'waiting' }),
      add('bob', { before: 'waiting', after: 'waiting' }),
      add('bob', { before: 'completed', after: 'completed' }),
    ]),
    ['added by operator/ann'],
  );
});

test('the story names who acted, whatever an event or an unsigned message says of itself', (t) => {
  const reply = { accepted: true, token: 3 };
  const message = { from: 'if://session/bob', content: { action: 'claim' } };
  const said = { type: 'if.request', message };
  t.deepEqual(
    textsOf([
      entry({ type: 'task.claim', message }, 'session/eve', { reply }),
      entry({ type: 'task.release', message: { content: { reason: 'never said' } } }, 'session/eve', {
        reply,
      }),
      entry({ type: 'task.add', addedBy: 'operator/ann' }, 'session/eve'),
      entry({ type: 'task.dep_completed' }, 'session/eve'),
      entry(said, 'session/eve', { reply }),
      entry(said, 'operator/o', { reply, signed: { kid: 'k', from: 'session/bob', seq: 1 } }),
      entry(said, undefined, { reply }),
    ]),
    [
      'session/eve claimed it under token 3',
      'session/eve gave it back',
      'session/eve claimed it under token 3',
      'session/bob claimed it under token 3',
      'session/bob claimed it under token 3',
    ],
  );
});

const REFUSED = {
  worker: 'ann',
  factors: null,
  refusals: [{ filter: 'load', is: 1, wants: 1 }],
} as unknown as NonNullable<NonNullable<TaskView['check']>['verdict']>;

test('a claim that the governor is asked about is told as one when it is permitted', (t) => {
  const checking = { reply: { accepted: true, checking: true, token: 0 } } as const;
  const states = { before: 'available', after: 'available' };
  const permit = (permitted: boolean) => ({
    type: 'task.permit',
    permitted,
    verdict: permitted ? { ...REFUSED, refusals: [] } : REFUSED,
  });
  t.deepEqual(
    textsOf([
      entry({ type: 'task.claim' }, 'session/ann', checking),
      entry(permit(true), 'session/ann', states),
      entry(permit(false), 'worker/ann', states),
      entry({ type: 'task.claim' }, 'session/bob', checking),
      entry(permit(true), 'worker/bob', { ...states, after: 'claimed' }),
      entry(permit(true), 'worker/bob', { before: 'claimed', after: 'claimed' }),
      entry({ type: 'xstate.timer.check' }, undefined, states),
      entry({ type: 'task.claim' }, 'session/eve', {
        op: 'dead',
        error: { code: 'policy_denied', message: 'the policy denies it', retryable: false },
      }),
    ]),
    [
      'session/ann asked for it; the governor is asked',
      'session/ann wanted to claim it and was refused: the governor refuses it: load 1, wanted 1',
      'session/bob asked for it; the governor is asked',
      'session/bob claimed it: the governor permits it',
      'the governor did not answer, and the claim was refused',
      'session/eve wanted to claim it and was refused: the policy denies it',
    ],
  );
});

test('why names who asked for a task and was refused, or waits for a word, and does not say that they left it', (t) => {
  const there = [session('ann'), session('bob')];
  const check = (permitted: boolean | null) => ({
    governed: true,
    check: { worker: 'session/ann', permitted, verdict: permitted === false ? REFUSED : null },
  });
  const free = (more: Partial<TaskView>, sessions: readonly SessionView[] | undefined = there) =>
    reasonsOf(taskView('A', more), [], sessions);
  const refusal = 'session/ann asked for it and was refused: the governor refuses it: load 1, wanted 1.';
  t.deepEqual(free({}), ['It is free; session/ann, session/bob could do it and did not claim it.']);
  t.deepEqual(free({ governed: true }), ['It is free, and the governor decides who may have it.']);
  t.deepEqual(free(check(null)), ['session/ann asked for it, and the governor has not answered yet.']);
  t.deepEqual(free(check(false)), ['It is free, and the governor decides who may have it.', refusal]);
  t.deepEqual(free(check(true)), ['It is free, and the governor decides who may have it.']);
  t.deepEqual(reasonsOf(taskView('A', check(false)), [], undefined), ['It is free.', refusal]);
  const held = { held: [{ worker: 'session/ann', approval: 'approval/held-1' }] };
  t.is(free(held)[0], 'It is free; session/bob could do it and did not claim it.');
  t.is(free(held, there.slice(0, 1))[0], 'It is free, and no other session that is there could do it.');
});
