/** Whose machine a name means. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { builtins } from '#actors/index';
import { buildRegistry } from '#runtime/node/registry';
import { realmConfigSchema } from '#schemas/config';

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

test('the names of the kernel are its own', async (t) => {
  const folder = machineFile(t, 'supervisor');
  await t.throwsAsync(build({ boss: { machine: './mine.mjs#mine' } }, folder), { code: 'bad_machine' });
});
