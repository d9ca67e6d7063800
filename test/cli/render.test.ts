import { Writable } from 'node:stream';
import test from 'ava';
import type { ActorSummary } from '#runtime/node/api';
import { actorLines } from '../../runtime/cli/render/actor.ts';
import { answerLines } from '../../runtime/cli/render/answer.ts';
import { checkLines } from '../../runtime/cli/render/checks.ts';
import { errorLines } from '../../runtime/cli/render/error.ts';
import { clock, compact, relative, span, stateValue } from '../../runtime/cli/render/format.ts';
import { letterTable } from '../../runtime/cli/render/letters.ts';
import { logLine } from '../../runtime/cli/render/log.ts';
import { palette, wantsColour } from '../../runtime/cli/render/palette.ts';
import { planLines } from '../../runtime/cli/render/plan.ts';
import { overviewLines } from '../../runtime/cli/render/status.ts';
import { table, visible } from '../../runtime/cli/render/table.ts';
import { actorTree, nobodyLines } from '../../runtime/cli/render/tree.ts';
import { worthTrying } from '../../runtime/cli/render/welcome.ts';

const plain = palette(false);
const place = { palette: plain, width: 100 };
const now = Date.parse('2026-01-31T12:00:00Z');

function actor(address: string, parent?: string, status: ActorSummary['status'] = 'active'): ActorSummary {
  return { address, machine: 'm@1', status, value: 'idle', ...(parent !== undefined && { parent }) };
}

test('durations are said in two units at most', (t) => {
  const said = [0, 850, 4_250, 42_000, 200_000, 3_600_000, 7_500_000, 273_600_000].map(span);
  t.deepEqual(said, ['0 ms', '850 ms', '4.2 s', '42 s', '3 m 20 s', '1 h', '2 h 5 m', '3 d 4 h']);
  t.is(relative(now + 5_000, now), 'in 5 s');
  t.is(relative(now - 60_000, now), '1 m ago');
  t.regex(clock(now, now), /^\d\d:\d\d:00\.000$/);
});

test('state values of any shape stand on one line', (t) => {
  t.is(stateValue('idle'), 'idle');
  t.is(stateValue({ busy: 'waiting' }), 'busy.waiting');
  t.is(stateValue({ a: 'x', b: { c: 'd' } }), 'a.x + b.c.d');
  t.is(stateValue({ a: {} }), 'a');
  t.is(stateValue(undefined), '–');
});

test('control characters of foreign data never reach the terminal', (t) => {
  t.is(compact('a\u001b[2Jb\nc', 80), 'a [2Jb c');
  t.false(logLine(item({ type: 'x\u001b]0;evil\u0007' }), now, place).includes('\u001b'));
});

test('a table keeps its columns aligned and inside the width', (t) => {
  const lines = table(
    [{ title: 'A' }, { title: 'B', align: 'right' }],
    [
      ['short', '1'],
      ['x'.repeat(60), '1000'],
    ],
    { palette: plain, width: 40 },
  );
  t.is(lines.length, 3);
  t.true(lines.every((line) => visible(line) <= 40));
  t.is(lines[1]?.indexOf('1'), lines[2]?.lastIndexOf('0'));
});

test('a tree shows children below their parents, supervisors first, and counts what it hides', (t) => {
  const actors = [
    actor('counter/k1'),
    actor('supervisor/root'),
    actor('supervisor/root:tasks', 'supervisor/root'),
    ...Array.from({ length: 5 }, (_, n) =>
      actor(`task/${n}`, 'supervisor/root:tasks', n === 0 ? 'error' : 'active'),
    ),
  ];
  const text = actorTree(actors, place, 3).map((line) => line.replace(/ {2,}.*$/, ''));
  t.deepEqual(text.slice(1), [
    '● supervisor/root',
    '└─ ● supervisor/root:tasks',
    ...['', '', '', ''].map(() => ''),
    '● counter/k1',
  ]);
  const full = actorTree(actors, place, 3);
  t.true(full.some((line) => line.includes('├─ ✗ task/0') && line.includes('failed')));
  t.true(full.some((line) => line.includes('└─ … 2 more')));
});

test('an actor whose parent is not listed is a root, and a cycle of parents ends', (t) => {
  t.is(actorTree([actor('a/1', 'b/gone')], place, 10).length, 2);
  t.notThrows(() => actorTree([actor('a/1', 'a/2'), actor('a/2', 'a/1')], place, 10));
});

test('every empty state says what to do next', (t) => {
  t.true(nobodyLines(undefined, plain).some((line) => line.includes('infrafabric ask')));
  t.regex(letterTable([], now, place).join(), /No dead letters/);
  const none = { start: [], stop: [], restart: [], migrate: [], update: [], unchanged: 2 };
  t.deepEqual(planLines(none, plain, true), ['Nothing to change: 2 children stay as they are.']);
});

test('a plan marks what starts, stops and changes, and says whether it was done', (t) => {
  const item = { address: 'task/a', machine: 'task@2', why: 'new' };
  const plan = {
    start: [item],
    stop: [item],
    restart: [],
    migrate: [{ ...item, from: 'task@1' }],
    update: [],
    unchanged: 1,
  };
  const lines = planLines(plan, plain, true);
  t.deepEqual(lines.slice(0, 3), [
    '- stop    task/a  task@2  new',
    '+ start   task/a  task@2  new',
    '→ migrate task/a  task@1 → task@2  new',
  ]);
  t.regex(lines.join('\n'), /1 to stop, 1 to start, 1 to migrate, 1 unchanged[\s\S]*nothing was done/);
});

test('an entry of the log says who, what, and what came of it', (t) => {
  const line = logLine(item({ type: 'inc' }), now, { ...place, width: 140 });
  t.regex(line, /0\.7\+1\s+counter\/k1\s+inc\s+idle → busy\s+⇒ \{"n":1\}\s+ask/);
  const dead = {
    ...item({ type: 'inc' }).entry,
    op: 'dead' as const,
    error: { code: 'unknown_actor', message: 'nobody', retryable: false },
  };
  t.regex(logLine({ ...item({}), entry: dead }, now, place), /dead inc\s+unknown_actor nobody/);
});

test('show names state, context, timers, effects and entries', (t) => {
  const text = actorLines(
    {
      address: 'counter/k1',
      machine: 'counter@1',
      status: 'active',
      value: 'idle',
      context: { n: 1 },
      lastIndex: 7,
      timers: [{ id: 'tick', dueAt: now + 5_000, event: { type: 'tick' } }],
      effects: [],
    },
    [],
    now,
    place,
  ).join('\n');
  for (const part of [
    'counter/k1',
    'idle',
    '{"n":1}',
    '1 timer',
    'in 5 s',
    '0 pending effects',
    'no entries in the log',
  ]) {
    t.true(text.includes(part), part);
  }
});

test('an answer begins with the reply', (t) => {
  t.regex(
    answerLines({ reply: { n: 1 }, value: 'idle', commit: { shard: 1, index: 2 } }, plain)[0] ?? '',
    /^\{"n":1\} {2}state idle · commit 1\.2$/,
  );
});

test('an error says what, where and what to do, and repeats nothing', (t) => {
  const error = {
    code: 'x',
    message: 'broke in /a',
    retryable: false,
    help: 'Mend it.',
    details: { file: '/b', line: 3, column: 1, dataDir: '/a' },
  };
  t.deepEqual(errorLines(error, plain), ['error[x]: broke in /a', '  at /b:3:1', 'help: Mend it.']);
});

test('checks that fail say what to do', (t) => {
  const lines = checkLines([{ name: 'node', state: 'fail', seen: '18', todo: 'Update.' }], plain);
  t.deepEqual(lines, ['✗ node  18', '        → Update.', '', '1 to fix before it works.']);
});

test('the live table never exceeds the height of the terminal', (t) => {
  const shard = {
    shard: 0,
    epoch: 1,
    index: 9,
    seq: 9,
    actors: 90,
    resident: 9,
    timers: 0,
    effects: 0,
    queued: 0,
    consumed: 0,
    behind: 0,
  };
  const status = {
    nodeId: 'n',
    realm: 'r',
    version: '0',
    pid: 1,
    startedAt: now,
    durability: 'strict' as const,
    shards: [shard],
  };
  const actors = Array.from({ length: 90 }, (_, n) => actor(`t${n % 40}/a${n}`));
  for (const height of [8, 24, 200]) {
    const lines = overviewLines({ status, actors, more: 0, perSecond: 0 }, now, {
      palette: plain,
      width: 80,
      height,
    });
    t.true(lines.length <= height, `${lines.length} of ${height}`);
  }
});

test('three commands to try come from what the realm has', (t) => {
  const spec = { strategy: 'one_for_one' as const, intensity: 3, periodMs: 5_000, children: [] };
  const kind = { machine: 'counter', spawnOnMessage: true, door: 'open' as const, onThrow: 'keep' as const };
  t.is(worthTrying(spec, { counter: kind })[0]?.[0], 'infrafabric ask counter/k1 inc');
  t.is(worthTrying(spec, {}).length, 3);
});

test('colours follow NO_COLOR, FORCE_COLOR and the terminal', (t) => {
  const tty = Object.assign(new Writable(), { isTTY: true });
  t.true(wantsColour({}, tty));
  t.false(wantsColour({ NO_COLOR: '1' }, tty));
  t.true(wantsColour({ FORCE_COLOR: '1' }, new Writable() as { isTTY?: boolean }));
  t.false(wantsColour({}, { isTTY: false }));
});

function item(event: unknown) {
  const entry = {
    cause: { kind: 'ask' as const },
    actor: 'counter/k1',
    event,
    before: 'idle',
    after: 'busy',
    reply: { n: 1 },
  };
  return { shard: 0, index: 7, n: 1, at: now, entry };
}
