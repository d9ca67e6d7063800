/** B1–B7: whatever runs is paid for, by what it does and by nothing else. */
import test from 'ava';
import { meter, run, runWat, wat } from './guests.ts';

const FOREVER: Readonly<Record<string, string>> = {
  'a loop with nothing in it': '(func (export "go") (loop $l (br $l)))',
  'a loop by br_if': '(func (export "go") (loop $l (br_if $l (i32.const 1))))',
  'a loop by br_table': '(func (export "go") (block $out (loop $l (br_table $l $out $l (i32.const 7)))))',
  'a loop around a loop': '(func (export "go") (loop $a (loop $b (br $b)) (br $a)))',
  'calls of itself by way of small functions':
    '(func $a (export "go") (if (i32.const 1) (then (return_call $b)))) (func $b (return_call $c)) (func $c (return_call $a))',
  'a loop that calls a small function':
    '(func $one (result i32) (i32.const 1)) (func (export "go") (loop $l (br_if $l (call $one))))',
  'calls of itself by tail call': '(func $go (export "go") (return_call $go))',
  'a pair of tail calls': '(func $a (export "go") (return_call $b)) (func $b (return_call $a))',
  'tail calls through a table':
    '(type $t (func)) (table funcref (elem $go)) (func $go (export "go") (return_call_indirect (type $t) (i32.const 0)))',
  'a loop that calls': '(func $nothing) (func (export "go") (loop $l (call $nothing) (br $l)))',
  'a loop that calls through a table':
    '(type $t (func)) (table funcref (elem $n)) (func $n) (func (export "go") (loop $l (call_indirect (type $t) (i32.const 0)) (br $l)))',
  'a loop in a branch': '(func (export "go") (if (i32.const 1) (then (loop $l (br $l))) (else (nop))))',
  'a loop in vector code':
    '(func (export "go") (loop $l (drop (i32x4.add (v128.const i32x4 1 2 3 4) (v128.const i32x4 1 2 3 4))) (br $l)))',
  'a loop that fills memory':
    '(memory 1) (func (export "go") (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l)))',
  'a loop that grows a table':
    '(table 1 10 funcref) (func (export "go") (loop $l (drop (table.grow (ref.null func) (i32.const 1))) (br $l)))',
};

/** Forty instructions that cost something. */
const LONG = '(drop (i32.const 1))'.repeat(40);

for (const [what, module] of Object.entries(FOREVER)) {
  test(`${what} ends when the fuel does`, async (t) => {
    const { exports, fuel } = await runWat(`(module ${module})`, { fuel: 50_000n });
    t.throws(() => exports['go']?.(), { name: 'RuntimeError', message: /unreachable/ });
    t.true(fuel() > 50_000n && fuel() < 200_000n, `${fuel()}`);
  });
}

test('a start function is paid for as all others are', async (t) => {
  const { bytes } = meter(await wat('(module (func $go (loop $l (br $l))) (start $go))'));
  t.throws(() => run(bytes), { name: 'RuntimeError', message: /unreachable/ });
});

test('deep calls take fuel on the way down', async (t) => {
  const { exports } = await runWat('(module (func $go (export "go") (call $go)))', { fuel: 1_000n });
  t.throws(() => exports['go']?.(), { name: 'RuntimeError', message: /unreachable/ });
});

test('the same run takes the same fuel, and a longer one more', async (t) => {
  const { bytes } = meter(
    await wat(`(module (func (export "sum") (param i32) (result i32) (local i32)
      (block $out (loop $l
        (br_if $out (i32.eqz (local.get 0)))
        (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br $l)))
      (local.get 1)))`),
  );
  const fuelOf = (turns: number) => {
    const { exports, fuel } = run(bytes);
    t.is(exports['sum']?.(turns), (turns * (turns + 1)) / 2);
    return fuel();
  };
  t.is(fuelOf(100), fuelOf(100));
  const perTurn = fuelOf(101) - fuelOf(100);
  t.is(fuelOf(1_000) - fuelOf(100), perTurn * 900n);
});

/** A body with a parameter and a result, and what it takes with 0 and with 1: one unit an instruction, calls 4. */
const EXACT: Readonly<Record<string, readonly [body: string, withZero: bigint, withOne: bigint]>> = {
  'a branch of two that cost the same': [
    '(if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2)))',
    3n,
    3n,
  ],
  'a small branch, which is paid where it is not taken as well': [
    '(if (local.get 0) (then (drop (i32.const 1)))) (i32.const 1)',
    4n,
    4n,
  ],
  'a large branch, which is paid where it is taken': [
    `(if (local.get 0) (then ${LONG})) (i32.const 1)`,
    3n,
    43n,
  ],
  'two branches, the larger beyond what is paid ahead': [
    `(if (result i32) (local.get 0) (then ${LONG} (i32.const 1)) (else (i32.const 1)))`,
    3n,
    43n,
  ],
  'an early end': [`(if (local.get 0) (then (return (i32.const 1)))) ${LONG} (i32.const 1)`, 44n, 3n],
  'a way out of two blocks': [
    `(block $a (block $b (br_if $a (local.get 0)) ${LONG}) ${LONG}) (i32.const 1)`,
    83n,
    3n,
  ],
  'a table of ways': [`(block $a (block $b (br_table $a $b (local.get 0))) ${LONG}) (i32.const 1)`, 3n, 43n],
  'a loop that one turn ends': ['(loop $l (br_if $l (i32.const 0))) (i32.const 1)', 4n, 4n],
  'a call of a small function': ['(call $small (local.get 0))', 8n, 8n],
  'a call of a large function': ['(call $large (local.get 0))', 46n, 46n],
  'a call through a table': [
    '(call_indirect (param i32) (result i32) (local.get 0) (i32.const 0))',
    18n,
    18n,
  ],
  'what never runs': [`(return (i32.const 1)) ${LONG}`, 1n, 1n],
};

for (const [what, [body, withZero, withOne]] of Object.entries(EXACT)) {
  test(`${what} takes what it is said to`, async (t) => {
    // The entry of what is called from outside is free where it is small: so is that of `go`, which pays for all of it.
    const { exports, fuel } = await runWat(`(module (table funcref (elem $small))
      (func $small (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
      (func $large (param i32) (result i32) ${LONG} (local.get 0))
      (func $it (param i32) (result i32) ${body})
      (func (export "go") (param i32) (drop (call $it (local.get 0)))))`);
    const fuelOf = (value: number) => {
      const before = fuel();
      exports['go']?.(value);
      return fuel() - before;
    };
    t.deepEqual([fuelOf(0), fuelOf(1)], [withZero, withOne]);
  });
}

test('making its locals zero is a part of what a call costs', async (t) => {
  const fuelOf = async (locals: number) => {
    const { exports, fuel } = await runWat(`(module (func (export "go") (local ${'i64 '.repeat(locals)})))`);
    exports['go']?.();
    return Number(fuel());
  };
  const few = await fuelOf(3);
  t.is(few, await fuelOf(0));
  t.true((await fuelOf(9_000)) - few > 2_000);
});

test('what is skipped costs nothing', async (t) => {
  const body = '(drop (i32.add (i32.const 1) (i32.const 2)))'.repeat(50);
  const { exports, fuel } = await runWat(
    `(module (func (export "go") (param i32) (block $out (br_if $out (local.get 0)) ${body})))`,
  );
  exports['go']?.(1);
  const skipped = fuel();
  exports['go']?.(0);
  t.true(fuel() - skipped > 100n);
  t.true(skipped < 10n);
});

test('filling and copying memory costs what it does', async (t) => {
  const { exports, fuel } = await runWat(`(module (memory 4)
    (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))
    (func (export "copy") (param i32) (memory.copy (i32.const 0) (i32.const 65536) (local.get 0))))`);
  for (const name of ['fill', 'copy']) {
    const before = fuel();
    exports[name]?.(0);
    const empty = fuel() - before;
    exports[name]?.(65_536);
    t.is(fuel() - before - 2n * empty, 8_192n);
  }
});

test('a copy that the fuel does not reach for is not begun', async (t) => {
  const { exports } = await runWat(
    `(module (memory 4) (func (export "fill") (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536)))
      (func (export "look") (result i32) (i32.load8_u (i32.const 0))))`,
    { fuel: 5_000n },
  );
  t.throws(() => exports['fill']?.(), { message: /unreachable/ });
});

test('memory grows by what the run has left, and not a page more', async (t) => {
  const { exports, pagesLeft } = await runWat(
    '(module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))',
    { pages: 5 },
  );
  t.is(exports['grow']?.(3), 1);
  t.is(exports['grow']?.(3), -1);
  t.is(exports['grow']?.(-1), -1);
  t.is(pagesLeft(), 2);
  t.is(exports['grow']?.(2), 4);
  t.is(exports['grow']?.(0), 6);
  t.is(pagesLeft(), 0);
});

test('growth beyond the maximum of a memory leaves the pages to others', async (t) => {
  const { exports, pagesLeft } = await runWat(
    '(module (memory 1 2) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))',
  );
  t.is(exports['grow']?.(2), -1);
  t.is(pagesLeft(), 100);
});

test('memories and tables have a maximum, whatever they say of themselves', async (t) => {
  const { bytes } = meter(
    await wat('(module (memory (export "m") 1) (table (export "t") 1 1000000 funcref))'),
    { memoryPagesMax: 3, tableElementsMax: 10 },
  );
  const { instance } = run(bytes);
  t.throws(() => (instance.exports['m'] as WebAssembly.Memory).grow(3), { name: 'RangeError' });
  t.throws(() => (instance.exports['t'] as WebAssembly.Table).grow(10), { name: 'RangeError' });
});

test('the guest’s globals are its own, wherever they are named', async (t) => {
  const { exports, fuel } = await runWat(
    `(module (import "host" "base" (global $base i32))
      (global $a (mut i32) (i32.const 11)) (global $b (export "b") i32 (i32.add (global.get $base) (i32.const 1)))
      (memory (export "m") 1) (data (global.get $base) "x")
      (table 10 funcref) (elem (offset (global.get $base)) $f)
      (func $f (result i32) (i32.const 99))
      (func (export "a") (result i32) (global.set $a (i32.add (global.get $a) (global.get $b))) (global.get $a))
      (func (export "look") (result i32) (i32.load8_u (global.get $base)))
      (func (export "through") (result i32) (call_indirect (result i32) (global.get $base))))`,
    { imports: { host: { base: 4 } } },
  );
  t.is(exports['a']?.(), 16);
  t.is(exports['a']?.(), 21);
  t.is(exports['look']?.(), 'x'.charCodeAt(0));
  t.is(exports['through']?.(), 99);
  t.is((exports['b'] as unknown as WebAssembly.Global<number>).value, 5);
  t.true(fuel() > 0n);
});

test('the fuel of a guest that calls out is up to date', async (t) => {
  const seen: bigint[] = [];
  const calls = { host: { look: () => seen.push(fuel()) } };
  const { exports, fuel } = await runWat(
    `(module (import "host" "look" (func $look))
      (func (export "go") (nop) (call $look) (drop (i32.add (i32.const 1) (i32.const 2))) (loop (call $look))))`,
    { imports: calls },
  );
  exports['go']?.();
  const [first = 0n, second = 0n] = seen;
  t.true(first > 0n && second > first && fuel() === second);
});

test('names of functions stay for stack traces, without what they should not have', async (t) => {
  const { exports } = await runWat(
    `(module (func $"in'n{er" unreachable) (func $outer (export "go") (call 0)))`,
  );
  const error = t.throws(() => exports['go']?.(), { name: 'RuntimeError' });
  t.regex(error?.stack ?? '', /in_n_er/);
  t.regex(error?.stack ?? '', /outer/);
});
