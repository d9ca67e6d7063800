import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv2020 from 'ajv/dist/2020.js';
import test from 'ava';
import fc from 'fast-check';
import { createMachine } from 'xstate';
import { parse } from 'yaml';
import { createRegistry } from '#runtime/machine/registry';
import { type LoadOptions, loadConfig } from '#runtime/supervise/load-config';
import { checkMigrations, isEmptyPlan, planOf, renderPlan } from '#runtime/supervise/plan';
import { pinMachines } from '#runtime/supervise/spec';
import { FabricError } from '#schemas/fabric-error';
import { cases } from '../rig/effort.ts';

const folder = mkdtempSync(join(tmpdir(), 'config-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

/** Writes files into a folder of their own; gives the path of the first. */
function write(files: Readonly<Record<string, string>>): string {
  count += 1;
  const at = join(folder, String(count));
  mkdirSync(at);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(at, name), text);
  return join(at, Object.keys(files)[0] ?? '');
}

function load(files: Readonly<Record<string, string>>, options: Partial<LoadOptions> = {}) {
  return loadConfig(write(files), { env: {}, ...options });
}

/** Every problem, as `file:line:column: what` with the file's name only. */
function problems(files: Readonly<Record<string, string>>, options: Partial<LoadOptions> = {}): string[] {
  try {
    load(files, options);
  } catch (error) {
    if (!(error instanceof FabricError)) throw error;
    return error.message.replaceAll(/\S*\/\d+\//g, '').split('\n');
  }
  return [];
}

const KINDS = 'kinds: { job: { machine: counter }, task: { machine: task } }\n';

test('the smallest config is a realm at its defaults', (t) => {
  const { config, spec, dataDir, sources, file } = load({ 'r.yaml': 'realm: r\n' });
  t.like(config, {
    prefix: 'if',
    durability: 'strict',
    shards: 1,
    limits: { queueMax: 4_096, passivateAfterMs: 300_000 },
  });
  t.deepEqual(spec, { strategy: 'one_for_one', intensity: 3, periodMs: 5_000, children: [] });
  t.is(dataDir, join(file, '../.infrafabric/r'));
  t.deepEqual(sources, [file]);
  t.is(load({ 'r.yaml': 'realm: r\n' }, { env: { INFRAFABRIC_DATA: '/elsewhere' } }).dataDir, '/elsewhere');
});

test('the examples load, phase 0 with 7 sessions and 26 tasks', (t) => {
  t.is(loadConfig('deploy/examples/counter.yaml', { env: {} }).spec.children.length, 0);
  const { spec, sources } = loadConfig('deploy/examples/phase0.yaml', { env: {} });
  t.deepEqual(
    spec.children.map(({ address, supervisor }) => [address, supervisor?.children.length]),
    [
      ['supervisor/root:sessions', 7],
      ['supervisor/root:tasks', 26],
    ],
  );
  t.is(sources.length, 2);
  t.is(spec.children[1]?.supervisor?.children[0]?.machine, 'task@1');
  const pinned = pinMachines(spec, (type) => `${type}@7`);
  t.is(pinned.children[1]?.supervisor?.children[0]?.machine, 'task@7');
  t.is(pinned.children[1]?.machine, 'supervisor@1');
});

test('all problems are named at once, each with file, line, column and a suggestion', (t) => {
  const found = problems(
    {
      'r.yaml': `realm: Bad_
durabilty: strict
durability: stric
shards: 999
limits: { queueMx: 3, passivateAfter: 5x }
kinds:
  job: { machine: countr, dor: open }
supervisor:
  children:
    - { id: a, kind: jb }
    - { id: b, kind: job }
    - { id: b, kind: job }
    - { kind: job }
    - { from: nope.yaml, kind: job, id: z }
`,
    },
    { machines: ['counter', 'task'] },
  );
  t.deepEqual(found, [
    'r.yaml:1:8: "realm": expected a name: a-z, 0-9 and "-", 63 at most, not "Bad_"',
    'r.yaml:2:1: unknown key "durabilty" — did you mean "durability"?',
    'r.yaml:3:13: "durability": expected strict or relaxed, not "stric" — did you mean "strict"?',
    'r.yaml:4:9: "shards": expected number to be <=256, not 999',
    'r.yaml:5:11: unknown key "queueMx" — did you mean "queueMax"?',
    'r.yaml:5:39: "limits.passivateAfter": expected a duration from 100ms to 7d, such as "5s" or "300ms", not "5x"',
    'r.yaml:7:19: there is no built-in machine "countr" — did you mean "counter"?; a machine of yours is named by its file, ./machines/mine.ts#mine',
    'r.yaml:7:27: unknown key "dor" — did you mean "door"?',
    'r.yaml:10:22: kind "jb" is not declared under kinds — did you mean "job"?',
    'r.yaml:12:13: child id "b" is used twice here, also at r.yaml:11:13',
    'r.yaml:13:7: a child needs an "id", or "from" for a list of children',
    'r.yaml:14:15: there is no file nope.yaml',
    'r.yaml:14:37: "id" does not go with a list (from)',
  ]);
});

test('a syntax error, a file that is missing, empty or no map are problems with a place', (t) => {
  t.regex(problems({ 'r.yaml': 'realm: r\nkinds: {a: [}\n' })[0] ?? '', /^r\.yaml:2:\d+: /);
  t.regex(problems({ 'r.yaml': 'realm: r\nrealm: s\n' })[0] ?? '', /^r\.yaml:2:1: .*unique/i);
  t.regex(problems({ 'r.yaml': '' })[0] ?? '', /^r\.yaml:1:1: expected a map/);
  t.regex(problems({ 'r.yaml': 'realm: r\n---\nrealm: s\n' }).join(), /only one YAML document/);
  t.throws(() => loadConfig(join(folder, 'none.yaml'), { env: {} }), {
    code: 'bad_config',
    message: /:1:1: there is no file/,
  });
});

// Placeholders of the config, not of this file.
const REF = (inner: string) => `\${${inner}}`;

test('variables are data: typed where unquoted, never structure, never shown', (t) => {
  const text = `realm: ${REF('NAME:-r')}\nshards: ${REF('SHARDS:-2')}\nnats:\n  url: "${REF('URL')}"\n  port: ${REF('PORT')}\n`;
  const { config } = load({ 'r.yaml': text }, { env: { URL: 'a: [b', PORT: '4222' } });
  t.like(config, { realm: 'r', shards: 2, nats: { url: 'a: [b', port: 4222 } });
  t.deepEqual(problems({ 'r.yaml': text }, { env: { PORT: 'hunter2' } }), [
    `r.yaml:4:8: environment variable URL is not set; set it or write ${REF('URL:-default')}`,
    'r.yaml:5:9: "nats.port": expected a number (its value comes from the environment)',
  ]);
  t.is(load({ 'r.yaml': `realm: r\nnats: { url: "$${REF('URL')}" }\n` }).config.nats.url, REF('URL'));
});

test('includes add kinds and children before the own ones, once each, and never in a circle', (t) => {
  const files = {
    'r.yaml': `realm: r\ninclude: [a.yaml, b.yaml]\nsupervisor: { children: [{ id: own, kind: job }] }\n`,
    'a.yaml': `include: [b.yaml]\nsupervisor: { children: [{ id: a, kind: job }] }\n`,
    'b.yaml': `${KINDS}supervisor: { children: [{ id: b, kind: job }] }\n`,
  };
  const { spec, sources } = load(files);
  t.deepEqual(
    spec.children.map(({ id }) => id),
    ['b', 'a', 'own'],
  );
  t.is(sources.length, 3);
  t.deepEqual(
    problems({ 'r.yaml': 'realm: r\ninclude: [a.yaml]\n', 'a.yaml': 'include: [r.yaml]\nshards: 2\n' }),
    [
      'a.yaml:1:11: include goes in a circle: r.yaml → a.yaml → r.yaml',
      'a.yaml:2:1: "shards" belongs in the main config; an included file has include, kinds, supervisor',
    ],
  );
  t.deepEqual(
    problems({
      'r.yaml': `realm: r\ninclude: [a.yaml]\n${KINDS}`,
      'a.yaml': 'kinds: { job: { machine: task } }\n',
    }),
    ['a.yaml:1:10: kind "job" is declared twice, also at r.yaml:3:10'],
  );
});

test('a list makes one child per item, and its faults are named in the data file', (t) => {
  const config = `realm: r\n${KINDS}supervisor: { children: [{ from: d.yaml, list: jobs, kind: job, idField: key }] }\n`;
  const { spec } = load({
    'r.yaml': config,
    'd.yaml': `jobs:\n  - { key: x, n: "${REF('NOT')}" }\n  - { key: 2 }\n`,
  });
  t.deepEqual(
    spec.children.map(({ address, input }) => [address, input]),
    [
      ['job/x', { key: 'x', n: REF('NOT') }],
      ['job/2', { key: 2 }],
    ],
  );
  t.deepEqual(
    problems({ 'r.yaml': config, 'd.yaml': 'jobs:\n  - { kei: x }\n  - { key: x }\n  - { key: x }\n' }),
    [
      'd.yaml:2:5: this item has no "key" to be the id of a child — did you mean "kei"?',
      'd.yaml:4:5: child id "x" is used twice here, also at d.yaml:3:5',
    ],
  );
  t.regex(
    problems({ 'r.yaml': config, 'd.yaml': 'job: []\n' })[0] ?? '',
    /has no list "jobs" — did you mean "job"\?/,
  );
});

test('aliases that multiply are refused in bounded time, and __proto__ is not a key', (t) => {
  const levels = Array.from(
    { length: 12 },
    (_, n) => `l${n + 1}: &l${n + 1} [${Array(10).fill(`*l${n}`).join(', ')}]`,
  );
  t.regex(
    problems({ 'r.yaml': `realm: r\nl0: &l0 [x]\n${levels.join('\n')}\n` }).join('\n'),
    /more than 500000 values/,
  );
  t.regex(problems({ 'r.yaml': 'realm: r\nloop: &a [*a]\n' }).join('\n'), /nested deeper|no anchor/);
  t.regex(
    problems({ 'r.yaml': 'realm: r\n__proto__: { x: 1 }\n' }).join('\n'),
    /2:1: "__proto__" is not a usable key/,
  );
});

test('the same meaning has the same hash, whatever the spelling', (t) => {
  const one = load({ 'r.yaml': `realm: r\n${KINDS}limits: { leaseTtl: 5s }\n` });
  const two = load({ 'r.yaml': `# words\nlimits: { leaseTtl: 5000 }\n${KINDS}realm: "r"\n` });
  t.is(one.hash, two.hash);
  t.not(one.hash, load({ 'r.yaml': `realm: r\n${KINDS}limits: { leaseTtl: 6s }\n` }).hash);
});

test('whatever bytes stand in a config, the outcome is a config or bad_config', (t) => {
  const base = readFileSync('deploy/examples/phase0.yaml', 'utf8');
  const file = join(folder, 'fuzz.yaml');
  const cut = fc.tuple(fc.nat(base.length), fc.nat(40), fc.string({ maxLength: 20, unit: 'binary' }));
  const texts = fc.oneof(
    cut.map(([at, length, by]) => base.slice(0, at) + by + base.slice(at + length)),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.json().map((json) => `realm: r\nkinds: ${json}\nsupervisor: ${json}\n`),
  );
  fc.assert(
    fc.property(texts, (text) => {
      writeFileSync(file, text);
      try {
        loadConfig(file, { env: {} });
      } catch (error) {
        if (!(error instanceof FabricError) || error.code !== 'bad_config') throw error;
        for (const line of error.message.split('\n')) t.regex(line, /^(\S*:\d+:\d+: |… and|\s|[^:]*$)/);
      }
    }),
    { numRuns: cases(500, 100) },
  );
  t.pass();
});

const tree = (children: string) => load({ 'r.yaml': `realm: r\n${KINDS}supervisor: ${children}\n` }).spec;

test('a plan names what starts, stops, restarts, migrates and changes, nested trees included', (t) => {
  const before = tree(
    '{ children: [{ id: a, kind: job }, { id: b, kind: job, input: 1 }, { id: n, supervisor: { children: [{ id: x, kind: task }, { id: y, kind: task }] } }] }',
  );
  const changed = tree(
    '{ intensity: 9, children: [{ id: b, kind: job, input: 2 }, { id: c, kind: job }, { id: n, supervisor: { children: [{ id: y, kind: task }, { id: z, kind: task }] } }] }',
  );
  const after = pinMachines(changed, (type) => (type === 'task' ? 'task@2' : 'counter@1'));
  const plan = planOf(before, after);
  const named = (list: readonly { address: string }[]) => list.map(({ address }) => address);
  t.deepEqual(named(plan.stop), ['job/a', 'task/x']);
  t.deepEqual(named(plan.start), ['job/c', 'task/z']);
  t.deepEqual(named(plan.restart), ['job/b']);
  t.deepEqual(plan.migrate, [
    { address: 'task/y', machine: 'task@2', from: 'task@1', why: 'another version of its machine' },
  ]);
  t.deepEqual(plan.update, [{ address: 'supervisor/root', machine: 'supervisor@1', why: 'intensity 3 → 9' }]);
  t.is(
    renderPlan(plan).split('\n').at(-1),
    '2 to stop, 1 to migrate, 1 to update, 1 to restart, 2 to start, 0 unchanged',
  );
  t.true(isEmptyPlan(planOf(after, after)));
  t.is(planOf(after, after).unchanged, 5);
  t.is(planOf(undefined, before).start.length, 5);
});

test('a plan is refused where no declared migrations lead to a version, and names every child that would stay behind', (t) => {
  const registry = createRegistry();
  const define = (version: number, migrate?: (data: unknown) => unknown) =>
    registry.define({
      name: 'task',
      version,
      machine: createMachine({ version: String(version), context: { version } }),
      ...(migrate !== undefined && { migrate }),
    });
  define(1);
  define(2, (data) => (data as { context: object }).context);
  define(3);
  const at = (version: number) =>
    pinMachines(
      tree(
        '{ children: [{ id: a, kind: task }, { id: n, supervisor: { children: [{ id: b, kind: task }] } }] }',
      ),
      () => `task@${version}`,
    );
  const check = (from: number, to: number) => checkMigrations(planOf(at(from), at(to)), registry);
  t.notThrows(() => check(1, 2), 'what the step makes of data that is not there is not asked');
  t.notThrows(() => check(3, 3));
  const error = t.throws(() => check(1, 3), { instanceOf: FabricError });
  t.is(error.code, 'no_migration');
  const why = 'task@2 cannot become task@3: version 3 declares no migrate';
  t.is(error.message, `task/a: ${why}; task/b: ${why}`);
  t.throws(() => check(2, 1), { message: /migrations only go forward/ });
});

test('the JSON Schemas and the config reference in docs are those of the code, and an editor accepts the examples', (t) => {
  for (const script of ['deploy/schemas.ts', 'deploy/config-docs.ts']) {
    t.notThrows(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' }), script);
  }
  const schema = JSON.parse(readFileSync('docs/schemas/realm.json', 'utf8')) as object;
  const validate = new Ajv2020.default({ strict: false }).compile(schema);
  for (const name of ['counter', 'phase0']) {
    t.true(
      validate(parse(readFileSync(`deploy/examples/${name}.yaml`, 'utf8'))),
      JSON.stringify(validate.errors),
    );
  }
  t.false(validate({ realm: 'r', shard: 3 }));
});
