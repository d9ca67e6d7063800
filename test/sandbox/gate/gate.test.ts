/** A component on its way through the gate. */
import test from 'ava';
import { gateComponent } from '#runtime/sandbox/gate/gate';
import { echo, wat } from './guests.ts';

test('a component that passes is linked by its glue and counts what it does', async (t) => {
  const bytes = await wat(
    echo({
      before: `(import "infrafabric:task/log@0.1.0" (instance
        (type $level (enum "debug" "info" "warn" "error"))
        (export "level" (type $l (eq $level)))
        (export "write" (func (param "level" $l) (param "text" string)))))`,
    }),
  );
  const { sha256, cores, imports, exports, stats, glue } = await gateComponent(bytes);
  t.regex(sha256, /^[0-9a-f]{64}$/);
  t.deepEqual(imports, ['infrafabric:task/log@0.1.0']);
  t.deepEqual(exports, ['run']);
  t.deepEqual(
    cores.map(({ name, memoryPages }) => [name, memoryPages]),
    [['component.core.wasm', 1]],
  );
  t.is(stats.bytes, bytes.length);
  t.is(stats.functions, 2);
  t.regex(glue, /export function instantiate\(getCoreModule, imports, instantiateCore/);
  t.notRegex(glue, /^\s*import\s/m);
  t.notRegex(glue, /\bimport\(/);
});

test('the same component gives the same bytes', async (t) => {
  const bytes = await wat(echo());
  t.deepEqual(await gateComponent(bytes), await gateComponent(bytes));
});

test('custom sections do not come through', async (t) => {
  const marker = 'a guest’s own words';
  const bytes = await wat(
    echo({ core: `(@custom "producers" "${marker}")`, after: `(@custom "component-name" "${marker}")` }),
  );
  t.true(Buffer.from(bytes).includes(marker));
  const { glue, cores } = await gateComponent(bytes);
  t.false(glue.includes(marker));
  for (const core of cores) t.false(Buffer.from(core.bytes).includes(marker));
});

test('components within a component, with modules of their own, are metered with all that links them', async (t) => {
  const half = (name: string) => `(component $${name}
    (core module $m (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      (func (export "f") (param i32 i32) (result i32) (local.get 1)))
    (core instance $i (instantiate $m))
    (func (export "f") (param "text" string) (result u32)
      (canon lift (core func $i "f") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))`;
  const bytes = await wat(
    echo({
      after: `${half('inner')} (instance $inner (instantiate $inner))
        (core func $f (canon lower (func $inner "f") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
        (core module $user (import "inner" "f" (func (param i32 i32) (result i32))))
        (core instance (instantiate $user (with "inner" (instance (export "f" (func $f))))))`,
    }),
  );
  const { cores } = await gateComponent(bytes);
  t.is(cores.length, 4);
  for (const core of cores) {
    t.true(
      WebAssembly.Module.imports(new WebAssembly.Module(core.bytes)).some(
        ({ module }) => module === 'infrafabric:meter',
      ),
    );
  }
});
