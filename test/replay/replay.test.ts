/** R1 and R2 of runtime/replay/replayer.ts on real realms: what the log says happened, the machines say again. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { COLUMNS } from '#runtime/replay/export';
import type { Parting, ReplayStep, ReplaySummary } from '#runtime/replay/report';
import { seededRandom } from '#runtime/testing/seeded-random';
import { CliFolder, type Ended } from '../rig/cli.ts';
import { isEveryday } from '../rig/tier.ts';

const CRASHES = 20;
/** Longest life of a node between two crashes after it is up, ms. */
const LIFE_MS_MAX = 120;

function json(ended: Ended): Record<string, unknown>[] {
  return ended.out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function summaryOf(
  folder: CliFolder,
  ...args: string[]
): Promise<ReplaySummary & { ok: boolean; code: unknown }> {
  const ended = await folder.run(['replay', '--json', ...args]);
  const last = json(ended).at(-1);
  if (last === undefined) throw new Error(`${ended.out}\n${ended.err}`);
  return { ...(last as unknown as ReplaySummary & { ok: boolean }), code: ended.code };
}

/** A folder with one kind, whose machine lies in a file. */
function folderWith(machine: string, shards = 2): CliFolder {
  const folder = new CliFolder();
  mkdirSync(join(folder.path, 'machines'));
  // Modules are found above the folder; the checkout's are linked into it.
  cpSync(resolve('node_modules/xstate'), join(folder.path, 'node_modules/xstate'), { recursive: true });
  writeFileSync(join(folder.path, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder.path, 'machines/tally.ts'), machine);
  writeFileSync(
    join(folder.path, 'realm.yaml'),
    `realm: tally\nshards: ${shards}\nlimits: { snapshotEvery: 2 }\nkinds:\n  tally: { machine: "./machines/tally.ts#tally", spawnOnMessage: true, door: open }\n`,
  );
  return folder;
}

const TALLY = `
import { assign, setup } from 'xstate';
const machine = setup({}).createMachine({
  context: { n: 0, seen: 0 },
  initial: 'low',
  states: {
    low: { always: { guard: ({ context }) => context.n >= LIMIT, target: 'high' } },
    high: {},
  },
  on: { add: { actions: assign({ n: ({ context, event }) => context.n + event.by, seen: ({ context }) => context.seen + SEEN }) } },
});
export const tally = { name: 'tally', version: 1, machine };
`;
const tally = (limit: number, seen = 1): string =>
  TALLY.replace('LIMIT', String(limit)).replace('SEEN', String(seen));

async function up(t: ExecutionContext, folder: CliFolder): Promise<void> {
  const ended = await folder.run(['up', '-d']);
  t.is(ended.code, 0, ended.err);
}

test.skipIf(isEveryday)(
  `the phase-0 example folds to equal digests after ${CRASHES} crashes at random moments`,
  async (t) => {
    const seed = Date.now() % 1_000_000;
    t.log(`seed ${seed}`);
    const random = seededRandom(seed);
    await using folder = new CliFolder();
    cpSync(resolve('deploy/examples/phase0-board.yaml'), join(folder.path, 'phase0-board.yaml'));
    cpSync(resolve('deploy/examples/phase0.yaml'), join(folder.path, 'realm.yaml'));
    const lines = readFileSync(resolve('deploy/examples/messages.jsonl'), 'utf8').split('\n').filter(Boolean);
    for (let crash = 0; crash < CRASHES; crash += 1) {
      const node = folder.start(['up', '--json']);
      await node.until(/"event":"up"/);
      const from = Math.floor((crash * lines.length) / CRASHES);
      const some = lines.slice(from, Math.floor(((crash + 1) * lines.length) / CRASHES));
      // What is refused or cut off by the crash is nothing to this test: only what is in the log is.
      const sending = folder.run(['send'], `${some.join('\n')}\n`).catch(() => undefined);
      await pause(random.next() * LIFE_MS_MAX);
      node.process.kill('SIGKILL');
      await Promise.all([node.ended, sending]);
    }
    await up(t, folder);
    const found = await summaryOf(folder);
    t.like(found, { ok: true, code: 0 });
    t.is(found.digests, found.commits);
    t.true(found.commits > CRASHES && found.actors > 30, JSON.stringify(found));
    t.log(`${found.entries} entries of ${found.commits} commits`);
    const verified = json(await folder.run(['verify', '--json']))[0];
    t.like(verified, { ok: true });
    await folder.run(['down']);
  },
);

test('a machine that was edited without another version is caught, with the entry and both states', async (t) => {
  await using folder = folderWith(tally(10), 1);
  await up(t, folder);
  for (const by of [4, 5, 3, 2]) await folder.run(['ask', 'tally/a', 'add', JSON.stringify({ by })]);
  await folder.run(['ask', 'tally/b', 'add', '{"by":1}']);
  t.like(await summaryOf(folder), { ok: true, entries: 6 });

  writeFileSync(join(folder.path, 'machines/tally.ts'), tally(13));
  const value = await summaryOf(folder);
  t.like(value, { ok: false, code: 1 });
  t.like(value.divergence, {
    actor: 'tally/a',
    machine: 'tally@1',
    event: { type: 'add', by: 3 },
    isExact: true,
    before: { value: 'low', context: { n: 9, seen: 2 } },
    recorded: { after: 'high' },
    replayed: { after: 'low' },
    after: { value: 'low', context: { n: 12, seen: 3 } },
  });
  const shown = (await folder.run(['replay'])).out;
  t.regex(shown, /part from the log at commit \d+ of shard \d, entry 0 \(sequence \d+\)/);
  t.regex(shown, /after {2}- high {2}\+ low/);
  t.regex(shown, /before .* low\s+\{"n":9,"seen":2\}\s+now .* low\s+\{"n":12,"seen":3\}/);

  await folder.run(['down']);
});

test.skipIf(isEveryday)(
  'a change that only the digest shows names its suspects; what-if has nothing to compare with; a replay may begin at a snapshot',
  async (t) => {
    await using folder = folderWith(tally(10), 1);
    await up(t, folder);
    for (const by of [4, 5, 3, 2]) await folder.run(['ask', 'tally/a', 'add', JSON.stringify({ by })]);
    await folder.run(['ask', 'tally/b', 'add', '{"by":1}']);
    writeFileSync(join(folder.path, 'machines/tally.ts'), tally(10, 2));
    const context = await summaryOf(folder);
    t.like(context.divergence, {
      isExact: false,
      suspects: ['tally/a'],
      before: undefined,
      after: { context: { n: 4, seen: 2 } },
    });
    const whatIf = await summaryOf(folder, '--what-if', './machines/tally.ts#tally');
    t.like(whatIf, { ok: false, divergence: { actor: 'tally/a' } }, 'nothing to compare with');
    writeFileSync(join(folder.path, 'machines/tally.ts'), tally(10));
    const whole = await summaryOf(folder);
    t.like(whole, { ok: true, from: 1 });
    const rest = await summaryOf(folder, '--from-snapshot');
    t.like(rest, { ok: true, actors: whole.actors });
    t.true(rest.from > 1 && rest.digests < whole.digests, JSON.stringify(rest));
    await folder.run(['down']);
  },
);

test.skipIf(isEveryday)(
  'time travel shows the states around each entry; what-if shows where histories would part',
  async (t) => {
    await using folder = folderWith(tally(10));
    await up(t, folder);
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    for (const by of [4, 5, 3]) await folder.run(['ask', 'tally/a', 'add', JSON.stringify({ by })]);
    await folder.run(['ask', 'tally/b', 'add', '{"by":20}']);
    await folder.run(['ask', 'tally/c', 'add', '{"by":1}']);

    const steps = json(await folder.run(['replay', '--json', '--actor', 'tally/a'])).slice(
      0,
      -1,
    ) as unknown as ReplayStep[];
    t.deepEqual(
      steps.map(({ before, after }) => [
        (before?.context as { n: number } | undefined)?.n,
        (after?.context as { n: number } | undefined)?.n,
        after?.value,
      ]),
      [
        [undefined, 4, 'low'],
        [4, 9, 'low'],
        [9, 12, 'high'],
      ],
    );
    const [, second] = steps;
    const earlier = json(
      await folder.run([
        'replay',
        '--json',
        '--actor',
        'tally/a',
        '--until',
        `${second?.shard}/${second?.index}`,
      ]),
    );
    t.is(earlier.length, 3, 'two steps and the summary');
    const early = json(
      await folder.run(['replay', '--json', '--actor', 'tally/a', '--until', String(second?.seq)]),
    );
    t.is(early.length, 3);
    const timed = json(
      await folder.run([
        'replay',
        '--json',
        '--actor',
        'tally/a',
        '--until',
        new Date(second?.at ?? 0).toISOString(),
      ]),
    );
    t.is(timed.length, 3);
    t.regex((await folder.run(['replay', '--actor', 'tally/a', '--step'])).out, /context\.n {2}- 4 {2}\+ 9/);
    t.regex((await folder.run(['replay', '--trace', trace])).out, /No steps match/);

    writeFileSync(join(folder.path, 'machines/other.ts'), tally(5));
    const whatIf = await summaryOf(folder, '--what-if', './machines/other.ts#tally');
    t.like(whatIf, { ok: true, compared: 3, parted: 1 });
    const [parting] = whatIf.partings as readonly Parting[];
    t.like(parting, {
      actor: 'tally/a',
      event: { by: 5 },
      was: { after: { value: 'low' } },
      wouldBe: { after: { value: 'high' } },
    });
    t.regex(
      (await folder.run(['replay', '--what-if', './machines/other.ts#tally'])).out,
      /1 of 3 actors would have another history/,
    );
    writeFileSync(join(folder.path, 'machines/foreign.ts'), tally(5).replace("'tally'", "'foreign'"));
    const unused = await folder.run(['replay', '--what-if', './machines/foreign.ts#tally']);
    t.regex(unused.err, /error\[what_if_unused\]/);
    await folder.run(['down']);
  },
);

test.skipIf(isEveryday)('a machine that is not pure can do no harm in a replay', async (t) => {
  await using folder = folderWith(tally(10));
  await up(t, folder);
  await folder.run(['ask', 'tally/a', 'add', '{"by":4}']);
  const marks = ['written', 'child'].map((name) => join(folder.path, name));
  const harm = [
    `(await import('node:fs')).writeFileSync(${JSON.stringify(marks[0])}, 'x')`,
    `(await import('node:child_process')).execFileSync('touch', [${JSON.stringify(marks[1])}])`,
    `(await import('node:fs')).readFileSync('/etc/passwd')`,
    `await new Promise((resolve, reject) => import('node:net').then(({ connect }) => connect(1, '127.0.0.1').on('error', (error) => error.code === 'ECONNREFUSED' ? resolve() : reject(error))))`,
  ];
  for (const code of harm) {
    writeFileSync(join(folder.path, 'machines/tally.ts'), `${code};\n${tally(10)}`);
    const ended = await folder.run(['replay']);
    t.is(ended.code, 1, code);
    t.regex(ended.err, /ERR_ACCESS_DENIED|Access to this API has been restricted/, code);
  }
  t.false(marks.some((path) => existsSync(path)));
  process.env['REPLAY_SECRET'] = 'hush';
  writeFileSync(
    join(folder.path, 'machines/tally.ts'),
    `if (process.env.REPLAY_SECRET) throw new Error('saw it');\n${tally(10)}`,
  );
  t.like(await summaryOf(folder), { ok: true, refused: [] });
  delete process.env['REPLAY_SECRET'];
  const quiet = `try { (await import('node:fs')).writeFileSync(${JSON.stringify(marks[0])}, 'x') } catch {}`;
  writeFileSync(join(folder.path, 'machines/tally.ts'), `${quiet};\n${tally(10)}`);
  const refused = [{ permission: 'Module', resource: 'fs.writeFileSync', count: 1 }];
  t.like(await summaryOf(folder), { ok: true, refused }, 'what it hides from itself is told');
  t.regex((await folder.run(['replay'])).out, /not pure[\s\S]*Module fs\.writeFileSync/);
  await folder.run(['down']);
});

test.skipIf(isEveryday)('exports are read back by what they are for', async (t) => {
  await using folder = folderWith(tally(10));
  await up(t, folder);
  await folder.run(['ask', 'tally/a', 'add', '{"by":4,"note":"=1+1, \\"quoted\\"\\nline"}']);
  await folder.run(['ask', 'tally/a', 'add', '{"by":7}']);
  const read = async (format: string): Promise<string> => {
    const ended = await folder.run(['replay', '--export', `out.${format}`, '--format', format]);
    t.is(ended.code, 0, ended.err);
    t.regex(ended.out, new RegExp(`\\d+ steps written to out\\.${format}\\n`));
    return readFileSync(join(folder.path, `out.${format}`), 'utf8');
  };
  const names = Object.keys(COLUMNS);
  const rows = (await read('ndjson'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.true(rows.length >= 3 && rows.every((row) => Object.keys(row).join() === names.join()));
  t.true(rows.every((row) => Object.values(row).every((cell) => cell === null || typeof cell !== 'object')));
  const csv = parseCsv(await read('csv'));
  t.deepEqual(csv[0], names);
  t.is(csv.length, rows.length + 1);
  t.true(csv.every((row) => row.length === names.length));
  t.is(csv.at(-1)?.[names.indexOf('context_after')], '{"n":11,"seen":2}');
  const steps = (await read('jsonl'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ReplayStep);
  t.like(steps.at(-1), { entry: { actor: 'tally/a' }, after: { value: 'high' } });
  const events = (await read('inspector'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; sessionId: string });
  t.deepEqual(
    events.filter(({ sessionId }) => sessionId === 'tally/a').map(({ type }) => type),
    ['@xstate.actor', '@xstate.event', '@xstate.snapshot', '@xstate.event', '@xstate.snapshot'],
  );
  await folder.run(['down']);
});

/** RFC 4180. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let isQuoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i];
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (text[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else isQuoted = false;
    } else if (char === '"') isQuoted = true;
    else if (char === ',') {
      row.push(cell);
      cell = '';
    } else if (char === '\n') {
      rows.push([...row, cell]);
      row = [];
      cell = '';
    } else cell += char;
  }
  return rows;
}
