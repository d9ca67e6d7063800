/** K1–K4: a component passes once, and what is kept of it is what passed. */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { openChamber } from '#actors/chassis/chamber';
import { GateCache } from '#runtime/sandbox/gate/cache';
import { GATE_LIMITS, type GatedComponent } from '#runtime/sandbox/gate/types';
import { echo, wat } from './guests.ts';

function folderFor(t: { teardown: (end: () => void) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'infrafabric-gate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return join(folder, 'cache');
}

/** A stand-in for the gate that counts how often it is asked. */
function counted(coreBytes = 100) {
  const asked: number[] = [];
  const gate = async (bytes: Uint8Array): Promise<GatedComponent> => {
    asked.push(bytes.length);
    return {
      sha256: 'ab'.repeat(32),
      glue: 'export function instantiate() {}',
      cores: [{ name: 'component.core.wasm', bytes: new Uint8Array(coreBytes).fill(7), memoryPages: 1 }],
      imports: [],
      exports: ['run'],
      stats: { bytes: bytes.length, functions: 1, instructions: 2, checks: 3, gatedBytes: 4 },
    };
  };
  return { asked, gate };
}

const component = (length: number) => new Uint8Array(length);

test('a component passes once, and comes back as it was, in another process as well', async (t) => {
  const folder = folderFor(t);
  const { asked, gate } = counted();
  const first = await new GateCache({ folder }).gated(component(5), GATE_LIMITS, gate);
  const second = await new GateCache({ folder }).gated(component(5), GATE_LIMITS, gate);
  t.deepEqual(asked, [5]);
  t.deepEqual(
    second.cores.map(({ bytes }) => [...bytes]),
    first.cores.map(({ bytes }) => [...bytes]),
  );
  t.is(second.glue, first.glue);
  const [file = ''] = readdirSync(folder);
  t.is(statSync(join(folder, file)).mode & 0o777, 0o600);
});

test('other bytes and other limits are other components', async (t) => {
  const cache = new GateCache({ folder: folderFor(t) });
  const { asked, gate } = counted();
  await cache.gated(component(5), GATE_LIMITS, gate);
  await cache.gated(component(6), GATE_LIMITS, gate);
  await cache.gated(component(5), { ...GATE_LIMITS, memoryPagesMax: 1 }, gate);
  t.deepEqual(asked, [5, 6, 5]);
});

test('a file that was cut or changed is not there, and is made again', async (t) => {
  const folder = folderFor(t);
  const cache = new GateCache({ folder });
  const { asked, gate } = counted();
  await cache.gated(component(5), GATE_LIMITS, gate);
  const [name = ''] = readdirSync(folder);
  const file = join(folder, name);
  const content = readFileSync(file);
  content[content.length - 5] = 0;
  writeFileSync(file, content);
  await cache.gated(component(5), GATE_LIMITS, gate);
  truncateSync(file, 10);
  await cache.gated(component(5), GATE_LIMITS, gate);
  await cache.gated(component(5), GATE_LIMITS, gate);
  t.deepEqual(asked, [5, 5, 5]);
});

test('what the gate refuses leaves nothing behind', async (t) => {
  const folder = folderFor(t);
  const refuse = () => Promise.reject(new Error('refused'));
  await t.throwsAsync(new GateCache({ folder }).gated(component(5), GATE_LIMITS, refuse), {
    message: 'refused',
  });
  t.throws(() => readdirSync(folder), { code: 'ENOENT' });
});

test('a cache that cannot be written is told, and the component passes as it would without one', async (t) => {
  const folder = folderFor(t);
  writeFileSync(folder, 'a file where the folder should be');
  const faults: string[] = [];
  const cache = new GateCache({ folder, onFault: (fault) => faults.push(fault.message) });
  const { asked, gate } = counted();
  t.is((await cache.gated(component(5), GATE_LIMITS, gate)).stats.bytes, 5);
  t.is((await cache.gated(component(5), GATE_LIMITS, gate)).stats.bytes, 5);
  t.deepEqual(asked, [5, 5]);
  t.is(faults.length, 4, String(faults)); // reading and writing, twice
});

test('the folder keeps to its size', async (t) => {
  const folder = folderFor(t);
  const cache = new GateCache({ folder, bytesMax: 4_000 });
  const { gate } = counted(1_000);
  for (let length = 1; length <= 8; length += 1) await cache.gated(component(length), GATE_LIMITS, gate);
  const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
  t.true(sizes.length >= 2 && sizes.reduce((sum, size) => sum + size, 0) <= 4_000, String(sizes));
});

test('a chamber with a folder asks the gate once; the second time it reads what lies there', async (t) => {
  t.timeout(120_000);
  const folder = folderFor(t);
  await using chamber = await openChamber({ require: 'any', cacheFolder: folder });
  const bytes = await wat(echo());
  const first = await chamber.gate(bytes);
  const [name = ''] = readdirSync(folder);
  const file = join(folder, name);
  const before = statSync(file);
  utimesSync(file, 0, 0);
  const second = await chamber.gate(bytes);
  t.is(second.glue, first.glue);
  t.deepEqual(Buffer.from(second.cores[0]?.bytes ?? []), Buffer.from(first.cores[0]?.bytes ?? [0]));
  const after = statSync(file);
  t.is(after.ino, before.ino, 'it was not written again');
  t.true(after.mtimeMs > 0, 'it was used');
});
