/** What the gate does not let in, each with its own code and its place. */
import test from 'ava';
import { gateComponent } from '#runtime/sandbox/gate/gate';
import type { FabricError } from '#schemas/fabric-error';
import { echo, meter, wat } from './guests.ts';

const FEATURES: Readonly<Record<string, string>> = {
  threads: '(memory 1) (func (drop (i32.atomic.load (i32.const 0))))',
  'a shared memory': '(memory 1 1 shared)',
  memory64: '(memory i64 1)',
  'two memories': '(memory 1) (memory 1)',
  'access to a second memory': '(memory 1) (func (drop (i32.load 1 (i32.const 0))))',
  exceptions: '(tag $t)',
  'throw and try': '(func (try_table (nop)))',
  'typed function references': '(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))',
  'GC types': '(type (struct (field i32)))',
  'GC instructions': '(func (drop (ref.i31 (i32.const 1))))',
  'relaxed SIMD':
    '(func (drop (i8x16.relaxed_swizzle (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0))))',
  'wide arithmetic': '(func (param i64) (i64.mul_wide_u (local.get 0) (local.get 0)) (drop) (drop))',
  'a table with a value for all': '(table 1 funcref (ref.null func))',
};

for (const [what, module] of Object.entries(FEATURES)) {
  test(`${what} in a core module is refused`, async (t) => {
    const bytes = await wat(`(module ${module})`);
    const error = t.throws<FabricError>(() => meter(bytes), { code: 'component_feature' });
    const offset = error?.details['offset'];
    t.true(typeof offset === 'number' && offset >= 8 && offset < bytes.length, String(offset));
  });
}

const SIZES: Readonly<Record<string, string>> = {
  memory: '(memory 65536)',
  'a table': '(table 10000000 funcref)',
  locals: `(func (local ${'i64 '.repeat(10_001)}))`,
};

for (const [what, module] of Object.entries(SIZES)) {
  test(`too much of ${what} is refused`, async (t) => {
    const bytes = await wat(`(module ${module})`);
    t.throws<FabricError>(() => meter(bytes), { code: 'component_too_large' });
  });
}

const NAMES = [
  "x'+process.exit(1)+'",
  'x`$\u007b1}`',
  'a\\b',
  'a`b',
  "a'b",
  'a{b',
  'a*b',
  'a"b',
  'a\nb',
  '*/ globalThis.hacked = 1 /*',
  '$\u007bglobalThis}',
  '__proto__',
  'infrafabric:meter',
  'infrafabric:memory',
  '\u2028',
  'x'.repeat(300),
];

const quoted = (name: string) =>
  `"${[...Buffer.from(name)].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')}"`;

for (const name of NAMES) {
  const shown = JSON.stringify(name.slice(0, 30));
  test(`${shown} is no name in a core module`, async (t) => {
    const exported = await wat(`(module (func (export ${quoted(name)})))`);
    t.throws<FabricError>(() => meter(exported), { code: 'component_name' });
    const imported = await wat(`(module (import "host" ${quoted(name)} (func)))`);
    t.throws<FabricError>(() => meter(imported), { code: 'component_name' });
    const module = await wat(`(module (import ${quoted(name)} "f" (func)))`);
    t.throws<FabricError>(() => meter(module), { code: 'component_name' });
  });

  test(`${shown} in the core module of a component is refused before code is generated`, async (t) => {
    const bytes = await wat(echo({ core: `(func (export ${quoted(name)}))` }));
    await t.throwsAsync(gateComponent(bytes), { code: 'component_name' });
  });
}

test('names in types, fields and nested components are looked at as well', async (t) => {
  const replace = async (text: string) => {
    const bytes = Buffer.from(await wat(text));
    const at = bytes.indexOf('xyzzy');
    t.true(at > 0);
    bytes.write("x'+y+", at);
    return bytes;
  };
  for (const part of [
    '(type (record (field "xyzzy" u8)))',
    '(type (enum "xyzzy"))',
    '(type (flags "xyzzy"))',
    '(type (variant (case "xyzzy")))',
    '(type (func (param "xyzzy" u8)))',
    '(type (instance (export "xyzzy" (func))))',
    '(type (component (import "xyzzy" (func))))',
    '(component (type (record (field "xyzzy" u8))))',
    '(component (import "xyzzy" (func)))',
    '(component (component (component (export "xyzzy" (type 0)))))',
    '(alias export $c "xyzzy" (func))',
    '(instance (export "xyzzy" (func 0)))',
  ]) {
    const bytes = await replace(`(component (component $k) (instance $c (instantiate $k)) ${part})`);
    await t.throwsAsync(gateComponent(bytes), { code: 'component_name' }, part);
  }
});

for (const name of [
  'wasi:http/outgoing-handler@0.2.0',
  'wasi:cli/environment@0.3.0',
  'infrafabric:task/secrets@0.1.0',
  'infrafabric:task/log@1.0.0',
  'whatever',
]) {
  test(`${name} is no part of the world`, async (t) => {
    const bytes = await wat(echo({ before: `(import "${name}" (instance))` }));
    await t.throwsAsync(gateComponent(bytes), { code: 'component_import' });
  });
}

test('functions, modules and components are not imported by themselves', async (t) => {
  const importing = (what: string) => wat(echo({ before: `(import "f" ${what})` }));
  await t.throwsAsync(gateComponent(await importing('(func)')), { code: 'component_import' });
  await t.throwsAsync(gateComponent(await importing('(core module)')), { code: 'component_feature' });
  await t.throwsAsync(gateComponent(await importing('(component)')), { code: 'component_feature' });
});

test('a component without the entry is refused', async (t) => {
  await t.throwsAsync(gateComponent(await wat(echo({ entry: 'walk' }))), { code: 'component_export' });
});

test('what the validator refuses is refused with its reason', async (t) => {
  const bytes = await wat(echo({ core: '(func (export "bad") (result i32) (i64.const 1))' }));
  await t.throwsAsync(gateComponent(bytes), { code: 'component_invalid', message: /type mismatch/ });
  const fine = await gateComponent(await wat(echo()));
  t.deepEqual(fine.exports, ['run']);
});

test('async, threads and resources of other kinds are refused', async (t) => {
  for (const part of [
    '(core func (canon task.cancel))',
    '(core func (canon backpressure.inc))',
    '(type (future u8))',
    '(type (stream u8))',
  ]) {
    await t.throwsAsync(gateComponent(await wat(echo({ after: part }))), { code: 'component_feature' }, part);
  }
});

test('a component that was cut short is refused, unless nothing is missing but names', async (t) => {
  const bytes = await wat(echo());
  const whole = await gateComponent(bytes);
  for (let length = 0; length < bytes.length; length += 1) {
    const cut = await gateComponent(bytes.subarray(0, length)).catch((error: Error) => error);
    if (cut instanceof Error) t.is(cut.name, 'FabricError', `${length}: ${cut.stack}`);
    else t.deepEqual(cut.cores, whole.cores);
  }
});

test('a core module is no component', async (t) => {
  await t.throwsAsync(gateComponent(await wat('(module)')), { code: 'component_malformed' });
});

test('components nested without end are refused', async (t) => {
  const nested = (depth: number): string => (depth === 0 ? '' : `(component ${nested(depth - 1)})`);
  await t.throwsAsync(gateComponent(await wat(echo({ after: nested(10) }))), { code: 'component_too_large' });
});

test('too many modules and too many instances are refused', async (t) => {
  await t.throwsAsync(gateComponent(await wat(echo({ after: '(core module)'.repeat(20) }))), {
    code: 'component_too_large',
  });
  await t.throwsAsync(
    gateComponent(await wat(echo({ after: '(core instance (instantiate $m))'.repeat(200) }))),
    {
      code: 'component_too_large',
    },
  );
});
