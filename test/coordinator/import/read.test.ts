import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { FabricError } from '#schemas/fabric-error';
import { sessionIdOf, statusOf } from '../../../actors/coordinator/import/names.ts';
import { readFiles, type Wanted } from '../../../actors/coordinator/import/read.ts';

const FIXTURES = join(import.meta.dirname, 'fixtures');

function read(...names: string[]): Wanted {
  return readFiles(names.map((file) => ({ file, text: readFileSync(join(FIXTURES, file), 'utf8') })));
}

/** What is said against files that are wrong, a line each. */
function refused(t: ExecutionContext, texts: Readonly<Record<string, string>>): string[] {
  const files = Object.entries(texts).map(([file, text]) => ({ file, text }));
  const error = t.throws<FabricError>(() => readFiles(files));
  t.is(error.code, 'bad_import');
  return error.message.split('\n');
}

const byId = (wanted: Wanted) => Object.fromEntries(wanted.tasks.map((task) => [task.id, task]));

test('the board in Markdown says the same as the board in YAML', (t) => {
  const fromTables = byId(read('phase0-board.md'));
  const fromData = byId(read('phase0-board.yaml'));
  t.is(Object.keys(fromTables).length, 26);
  for (const [id, task] of Object.entries(fromTables)) {
    const { title, owner, deps, deliverables, model } = fromData[id] ?? {};
    t.deepEqual(
      {
        title: task.title,
        owner: task.owner,
        deps: task.deps,
        deliverables: task.deliverables,
        model: task.model,
      },
      { title, owner, deps, deliverables, model },
    );
  }
});

test('both together are one board: what one leaves out the other adds', (t) => {
  const { tasks, sessions } = read('phase0-board.md', 'phase0-board.yaml');
  t.is(tasks.length, 26 + 28);
  t.is(sessions.length, 7);
  t.deepEqual(byId(read('phase0-board.md', 'phase0-board.yaml'))['P0.1.1']?.requires, [
    'code:typescript',
    'infra:messaging',
  ]);
  t.like(byId(read('phase0-board.yaml'))['F2.1'], { filler: true, owner: 'webrtc' });
});

test('status files say how tasks stand; what was written last counts, in whatever order files are named', (t) => {
  for (const names of [
    ['STATUS-SESSION-5-CLI.yaml', 'STATUS-SESSION-5-CLI-done.yaml'],
    ['STATUS-SESSION-5-CLI-done.yaml', 'STATUS-SESSION-5-CLI.yaml'],
  ]) {
    const { states } = read('phase0-board.yaml', ...names);
    t.is(states.length, 1);
    t.like(states[0], {
      task: 'P0.1.1',
      status: 'completed',
      session: 'cli',
      deliverable: 'infrafabric/event_bus.py',
      testsPass: true,
      at: Date.parse('2025-11-12T15:45:00Z'),
    });
  }
});

test('a blocked session has its task, what it waits for, and the filler it does meanwhile', (t) => {
  const { states } = read('phase0-board.yaml', 'STATUS-SESSION-2-WEBRTC.yaml');
  t.like(
    states.find(({ task }) => task === 'P0.5.2'),
    {
      status: 'blocked',
      session: 'webrtc',
      milestone: 50,
      note: 'Policy configuration complete',
      blockedOn: 'P0.2.6',
      reason: 'Waiting for IF.governor integration tests',
    },
  );
  t.like(
    states.find(({ task }) => task === 'F2.1'),
    { status: 'claimed', session: 'webrtc' },
  );
});

test('a progress file becomes a workstream per session, behind those it was blocked by', (t) => {
  const { tasks, sessions, states } = read('progress.yaml');
  t.deepEqual(
    tasks.map(({ id, owner, deps }) => [id, owner, deps]),
    [
      ['session_1_ndi', 'ndi', []],
      ['session_2_webrtc', 'webrtc', []],
      ['session_3_h323', 'h323', []],
      ['session_cli', 'cli', []],
      ['session_4_sip', 'sip', ['session_2_webrtc', 'session_3_h323']],
      [
        'session_5_integration',
        'integration',
        ['session_1_ndi', 'session_2_webrtc', 'session_3_h323', 'session_4_sip'],
      ],
    ],
  );
  t.is(sessions.length, 6);
  t.deepEqual(states, []);
});

test('names of sessions and words for states are what people write', (t) => {
  const names = {
    'Session 5 (CLI)': 'cli',
    'Session 7 (IF.bus)': 'bus',
    'Session 3 (H.323)': 'h323',
    'session-2-webrtc': 'webrtc',
    session_4_sip: 'sip',
    session_cli: 'cli',
    'Session 3': 'session-3',
    'if://session/ndi': 'ndi',
    None: undefined,
    '–': undefined,
  };
  for (const [text, id] of Object.entries(names)) t.is(sessionIdOf(text), id, text);
  t.is(statusOf('✅ Done'), 'completed');
  t.is(statusOf('50 % – tests'), 'in_progress');
  t.is(statusOf('not_started'), 'waiting');
  t.is(statusOf('shrug'), undefined);
});

test('a table may have its columns in any order, more of them, and states', (t) => {
  const text = [
    '# Team',
    '',
    '| Status | Task | Mood | Estimate | Priority |',
    '|---|---|---|---|---|',
    '| ✅ Done | **A1**: Pipes \\| and `code` | fine | 2h | high |',
    '| In progress (40 %) | A2 – Walls | – | 90 min | – |',
    '| ⬜ | A3: Roof | | 1 day | |',
    '',
    '| Animal | Legs |',
    '|---|---|',
    '| Cat | 4 |',
  ].join('\n');
  const { tasks, states, remarks } = readFiles([{ file: 'team.md', text }]);
  t.deepEqual(
    tasks.map(({ id, title, hours, priority }) => [id, title, hours, priority]),
    [
      ['A1', 'Pipes | and `code`', 2, 2],
      ['A2', 'Walls', 1.5, undefined],
      ['A3', 'Roof', 8, undefined],
    ],
  );
  t.deepEqual(
    states.map(({ task, status, milestone }) => [task, status, milestone]),
    [
      ['A1', 'completed', undefined],
      ['A2', 'in_progress', 40],
    ],
  );
  t.like(remarks, [{ line: 3, column: 19, what: 'the column "Mood" has no meaning on a board: left out' }]);
});

test('everything wrong is told at once, at its line and column', (t) => {
  const lines = refused(t, {
    'a.md': [
      '| Task | Dependencies | Status | Estimate |',
      '|---|---|---|---|',
      '| Just words | None | | |',
      '| A1: One | All above and below | shrug | soon |',
      '| A2: Two | A9 | | |',
    ].join('\n'),
    'STATUS-X.yaml': 'session: session-1-ndi\nclaimng: A1\ntimestamp: lunchtime\n',
    'STATUS-Y.yaml': 'session: session-1-ndi\nclaiming: B1\nmilestone: "150 %"\n',
    'progress.yaml': 'sessions:\n  session_1_ndi: {status: dreaming, blocked_by: [session_9]}\n',
    'list.yaml': '- a\n',
    'broken.yaml': 'tasks: [\n',
  });
  const told = [
    /^a\.md:3:3: "Just words" names no task/,
    /^a\.md:4:13: "All above" is no task: expected ids/,
    /^a\.md:4:35: "shrug" is no state/,
    /^a\.md:4:43: "soon" is not a time/,
    /^a\.md:5:3: A2 waits for A9, which is no task/,
    /^STATUS-X\.yaml:1:1: no task is named/,
    /^STATUS-X\.yaml:3:12: "lunchtime" is no time/,
    /^STATUS-Y\.yaml:2:11: B1 is no task/,
    /^STATUS-Y\.yaml:3:12: "150 %" does not begin with 0 to 100 %/,
    /^progress\.yaml:2:27: "dreaming" is no state/,
    /^progress\.yaml:2:50: "session_9" is no session of this file/,
    /^list\.yaml:1:1: holds no board/,
    /^broken\.yaml:\d+:\d+: /,
  ];
  for (const pattern of told)
    t.true(
      lines.some((line) => pattern.test(line)),
      `${pattern}\n${lines.join('\n')}`,
    );
});

test('what a task of the board waits for already may be missing; nobody is asked whether it meant itself', (t) => {
  const text = '| Task | Dependencies |\n|---|---|\n| loop1: L | loop2 |\n';
  const known = new Map([['loop1', ['loop2']]]);
  t.deepEqual(readFiles([{ file: 'a.md', text }], known).tasks[0]?.deps, ['loop2']);
  const typo = text.replace('loop2', 'loop3');
  t.throws(() => readFiles([{ file: 'a.md', text: typo }], known), {
    message: /^a\.md:3:3: loop1 waits for loop3/,
  });
  t.deepEqual(refused(t, { 'a.md': text }), [
    'a.md:3:3: loop1 waits for loop2, which is no task of these files or of the board',
  ]);
});

test('files that contradict each other are refused with both places', (t) => {
  const [line = ''] = refused(t, {
    'a.yaml': 'tasks:\n  - { id: A1, title: One }\n',
    'b.yaml': 'tasks:\n  - { id: A1, title: Two }\n',
  });
  t.is(line, 'b.yaml:2:11: A1 has another title than at a.yaml:2:11: "Two", there "One"');
});

test('a circle is refused with its tasks, also one that only the board closes', (t) => {
  const [line = ''] = refused(t, {
    'a.yaml': 'tasks:\n  - { id: A1, deps: [A2] }\n  - { id: A2, deps: [A1] }\n',
  });
  t.is(line, 'a.yaml:2:11: these wait for one another: A1 → A2 → A1');
  const known = new Map([['B', ['A']]]);
  t.throws(() => readFiles([{ file: 'a.yaml', text: 'tasks: [{ id: A, deps: [B] }]' }], known), {
    message: 'a.yaml:1:15: these wait for one another: A → B → A',
  });
});

test('I1: what a board would refuse is told before anything is added, whichever field it is', (t) => {
  const tasks = Array.from({ length: 150 }, (_, n) => `  - { id: T${n}, title: t${n} }`);
  tasks[120] = `  - { id: T120, estimate: { hours: 2000000 } }`;
  tasks[130] = `  - { id: T130, model: ${'m'.repeat(101)} }`;
  tasks[140] = `  - { id: T140, deliverables: [${'d'.repeat(2_001)}] }`;
  const error = t.throws(() => readFiles([{ file: 'b.yaml', text: `tasks:\n${tasks.join('\n')}\n` }]), {
    code: 'bad_import',
  });
  t.regex(error?.message ?? '', /b\.yaml:122:\d+.*T120: estimate\.hours: /);
  t.regex(error?.message ?? '', /b\.yaml:132:\d+.*T130: model: /);
  t.regex(error?.message ?? '', /b\.yaml:142:\d+.*T140: deliverables\.0: /);
});
