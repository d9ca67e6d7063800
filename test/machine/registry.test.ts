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
  const without = await build({}, folder);
  t.notDeepEqual(without.machine('ledger').events, ['mine.only']);
});

test('the names of the kernel are its own', async (t) => {
  const folder = machineFile(t, 'supervisor');
  await t.throwsAsync(build({ boss: { machine: './mine.mjs#mine' } }, folder), { code: 'bad_machine' });
});
