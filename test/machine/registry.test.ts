/** Whose machine a name means. */
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { builtins } from '#actors/index';
import { buildRegistry } from '#runtime/node/registry';
import { realmConfigSchema } from '#schemas/config';
import { KERNEL_DRIVERS, KERNEL_MACHINES } from '#schemas/kernel-kinds';

function build(kinds: Readonly<Record<string, unknown>>, baseDir: string) {
  const config = realmConfigSchema.parse({ realm: 'r', kinds });
  return buildRegistry({
    config,
    machines: builtins.machines,
    driverNames: [...Object.keys(builtins.drivers), 'privacy', 'keyring'],
    baseDir,
  });
}

function machineFile(t: { teardown(fn: () => void): void }, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'if-registry-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const machine = `{ config: { id: '${name}', initial: 'mine', states: { mine: { on: { 'mine.only': 'mine' } } } } }`;
  const xstate = JSON.stringify(import.meta.resolve('xstate'));
  writeFileSync(
    join(folder, 'mine.mjs'),
    `import { createMachine } from ${xstate};\nexport const mine = { name: '${name}', version: 1, machine: createMachine(${machine}.config) };\n`,
  );
  return folder;
}

test('a machine of the realm’s own files has its name before one that the package brings along', async (t) => {
  const folder = machineFile(t, 'ledger');
  const registry = await build({ ledger: { machine: './mine.mjs#mine' } }, folder);
  t.deepEqual(registry.machine('ledger').events, ['mine.only']);
  t.is(registry.refs().filter((ref) => ref === 'ledger@1').length, 1);
  await registry.provide();
  t.deepEqual(registry.machine('ledger').events, ['mine.only'], 'also once all others are there');
  const without = await build({}, folder);
  await without.provide();
  t.notDeepEqual(without.machine('ledger').events, ['mine.only']);
});

test('a machine that the package brings along is there once something names it', async (t) => {
  const registry = await build({ ledger: { machine: 'ledger' } }, '.');
  t.true(registry.refs().includes('ledger@1'));
  t.false(registry.refs().includes('task@1'));
  t.regex(t.throws(() => registry.byRef('task@1'), { code: 'unknown_machine' }).message, /known: .*task/);
  await Promise.all([registry.provide(), registry.provide(['task']), registry.provide(['nobody'])]);
  for (const { name } of builtins.machines) t.is(registry.machine(name).name, name);
});

test('machines whose drivers are not here stay out, and are missed by who wants them', async (t) => {
  const config = realmConfigSchema.parse({ realm: 'r', kinds: { counter: { machine: 'counter' } } });
  const registry = await buildRegistry({
    config,
    machines: builtins.machines,
    driverNames: KERNEL_DRIVERS,
    baseDir: '.',
  });
  await registry.provide();
  t.true(registry.refs().includes('board@1') || registry.refs().includes('prices@1'));
  t.false(registry.refs().includes('round@1'));
  await t.throwsAsync(registry.provide(['round']), { code: 'bad_machine' });
});

test('what is started by name comes with what starts it: the kernel’s with every node, others’ with their machine', (t) => {
  const named = new Map(
    globSync('schemas/*.ts').flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/const (\w+_MACHINE) = '(\w+)@/g)].map(
        ([, constant = '', name = '']) => [constant, name] as const,
      ),
    ),
  );
  const used = (pattern: string): string[] => {
    const sources = globSync(pattern).map((file) => readFileSync(file, 'utf8'));
    return [...named].flatMap(([constant, name]) =>
      sources.some((source) => source.includes(constant)) ? [name] : [],
    );
  };
  t.true(named.size >= 5);
  t.deepEqual(
    used('runtime/**/*.ts').filter((name) => !KERNEL_MACHINES.includes(name)),
    [],
  );
  for (const { name, starts = [] } of builtins.machines) {
    const wanted = used(`machines/{${name}.ts,${name}/**/*.ts}`);
    t.deepEqual(
      wanted.filter((other) => !KERNEL_MACHINES.includes(other)),
      [...starts],
      name,
    );
  }
});

test('a node with a machine of the user’s own has them all', async (t) => {
  const folder = machineFile(t, 'mine');
  const registry = await build({ mine: { machine: './mine.mjs#mine' } }, folder);
  for (const { name } of builtins.machines) t.is(registry.machine(name).name, name);
  const swarm = await build({ swarm: { machine: 'swarm' } }, folder);
  t.true(swarm.refs().includes('runner@1'));
});

test('a user’s own witness is the one that counts', async (t) => {
  const folder = machineFile(t, 'witness');
  const registry = await build({ seen: { machine: './mine.mjs#mine' } }, folder);
  t.deepEqual(registry.machine('witness').events, ['mine.only']);
});

test('the names of the kernel are its own', async (t) => {
  const folder = machineFile(t, 'supervisor');
  await t.throwsAsync(build({ boss: { machine: './mine.mjs#mine' } }, folder), { code: 'bad_machine' });
});
