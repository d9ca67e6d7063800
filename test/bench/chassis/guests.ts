/** Guests under measurement: small, and without a world. */
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';

const ECHO = `
  (func (export "run") (param i32 i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store (i32.const 20) (local.get 0))
    (i32.store (i32.const 24) (local.get 1))
    (i32.const 16))`;

const FOREVER = '(func (export "run") (param i32 i32) (result i32) (loop $l (br $l)) (unreachable))';

/** A component whose `run` is that; no two of different numbers have the same digest. */
async function component(run: string, number: number): Promise<Uint8Array> {
  return await parse(`(component
    (core module $m
      (memory (export "memory") 1)
      (global (export "number") i32 (i32.const ${number}))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
      ${run})
    (core instance $i (instantiate $m))
    (func (export "run") (param "input" (list u8)) (result (result (list u8) (error string)))
      (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))`);
}

export const echo = (number = 0): Promise<Uint8Array> => component(ECHO, number);
export const forever = (): Promise<Uint8Array> => component(FOREVER, 0);

/** The echo as a plugin of Extism: the output is the block of the input. */
export const extismEcho = (): Promise<Uint8Array> =>
  parse(`(module
    (import "extism:host/env" "input_offset" (func $offset (result i64)))
    (import "extism:host/env" "length" (func $length (param i64) (result i64)))
    (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    (memory (export "memory") 1)
    (func (export "run") (result i32)
      (call $output (call $offset) (call $length (call $offset)))
      (i32.const 0)))`);

/** Work of several kinds, as core modules: `work` does it so often and gives a number that depends on all of it. */
export const WORK: Readonly<Record<string, { readonly wat: string; readonly times: number }>> = {
  'a tight loop': {
    times: 20_000_000,
    wat: `(func (export "work") (param $n i32) (result i32) (local $x i32)
      (local.set $x (i32.const 1))
      (loop $l
        (local.set $x (i32.xor (i32.mul (local.get $x) (i32.const 1664525)) (local.get $n)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $x))`,
  },
  'calls of itself': {
    times: 30,
    wat: `(func $fib (export "work") (param $n i32) (result i32)
      (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
        (then (local.get $n))
        (else (i32.add
          (call $fib (i32.sub (local.get $n) (i32.const 1)))
          (call $fib (i32.sub (local.get $n) (i32.const 2)))))))`,
  },
  'a sieve in memory': {
    times: 6,
    wat: `(memory 16) (func (export "work") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $count i32)
      (loop $again
        (memory.fill (i32.const 0) (i32.const 0) (i32.const 1000000))
        (local.set $count (i32.const 0))
        (local.set $i (i32.const 2))
        (loop $next
          (if (i32.eqz (i32.load8_u (local.get $i))) (then
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (local.set $j (i32.add (local.get $i) (local.get $i)))
            (block $done (loop $mark
              (br_if $done (i32.ge_u (local.get $j) (i32.const 1000000)))
              (i32.store8 (local.get $j) (i32.const 1))
              (local.set $j (i32.add (local.get $j) (local.get $i)))
              (br $mark)))))
          (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $count))`,
  },
  'floating point': {
    times: 300,
    wat: `(func (export "work") (param $size i32) (result i32)
      (local $px i32) (local $py i32) (local $k i32) (local $inside i32)
      (local $cx f64) (local $cy f64) (local $x f64) (local $y f64) (local $t f64)
      (loop $rows
        (local.set $px (i32.const 0))
        (local.set $cy (f64.sub (f64.div (f64.convert_i32_u (local.get $py)) (f64.const 100)) (f64.const 1.5)))
        (loop $columns
          (local.set $cx (f64.sub (f64.div (f64.convert_i32_u (local.get $px)) (f64.const 100)) (f64.const 2)))
          (local.set $x (f64.const 0)) (local.set $y (f64.const 0)) (local.set $k (i32.const 0))
          (block $out (loop $steps
            (local.set $t (f64.add (f64.sub (f64.mul (local.get $x) (local.get $x)) (f64.mul (local.get $y) (local.get $y))) (local.get $cx)))
            (local.set $y (f64.add (f64.mul (f64.const 2) (f64.mul (local.get $x) (local.get $y))) (local.get $cy)))
            (local.set $x (local.get $t))
            (br_if $out (f64.gt (f64.add (f64.mul (local.get $x) (local.get $x)) (f64.mul (local.get $y) (local.get $y))) (f64.const 4)))
            (br_if $steps (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 100)))
            (local.set $inside (i32.add (local.get $inside) (i32.const 1)))))
          (br_if $columns (i32.lt_u (local.tee $px (i32.add (local.get $px) (i32.const 1))) (local.get $size))))
        (br_if $rows (i32.lt_u (local.tee $py (i32.add (local.get $py) (i32.const 1))) (local.get $size))))
      (local.get $inside))`,
  },
};

export const workModule = (name: string): Promise<Uint8Array> => parse(`(module ${WORK[name]?.wat ?? ''})`);
