/** Guests for the gate's tests, written as WAT, and runs of single core modules with a meter. */
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { type MeteredModule, meterModule } from '#runtime/sandbox/gate/core/meter-module';
import { Reader } from '#runtime/sandbox/gate/reader';
import { GATE_LIMITS, type GateLimits } from '#runtime/sandbox/gate/types';
import { FUEL_IMPORT, METER_MODULE, PAGES_IMPORT } from '#runtime/sandbox/world/meter';

export const wat = (text: string): Promise<Uint8Array> => parse(text);

export function meter(bytes: Uint8Array, limits: Partial<GateLimits> = {}): MeteredModule {
  return meterModule(new Reader(bytes), { ...GATE_LIMITS, ...limits });
}

export interface MeteredRun {
  readonly exports: Record<string, (...values: unknown[]) => unknown>;
  readonly instance: WebAssembly.Instance;
  /** What it took of the fuel so far. */
  fuel(): bigint;
  pagesLeft(): number;
}

/** An instance of a metered core module. What a start function does is done when this returns, or throws. */
export function run(
  bytes: Uint8Array<ArrayBuffer>,
  { fuel = 1_000_000n, pages = 100, imports = {} as WebAssembly.Imports } = {},
): MeteredRun {
  const left = new WebAssembly.Global({ value: 'i64', mutable: true }, fuel);
  const grows = new WebAssembly.Global({ value: 'i32', mutable: true }, pages);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    ...imports,
    [METER_MODULE]: { [FUEL_IMPORT]: left, [PAGES_IMPORT]: grows },
  });
  return {
    exports: instance.exports as MeteredRun['exports'],
    instance,
    fuel: () => fuel - left.value,
    pagesLeft: () => grows.value,
  };
}

export async function runWat(text: string, options?: Parameters<typeof run>[1]): Promise<MeteredRun> {
  return run(meter(await wat(text)).bytes, options);
}

/** A component whose `run` gives back its input, with more core code beside it and other names if wanted. */
export function echo({ core = '', before = '', after = '', entry = 'run' } = {}): string {
  return `(component
    ${before}
    (core module $m
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
      (func (export "run") (param i32 i32) (result i32)
        (i32.store8 (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (local.get 0))
        (i32.store (i32.const 24) (local.get 1))
        (i32.const 16))
      ${core})
    (core instance $i (instantiate $m))
    (func (export "${entry}") (param "input" (list u8)) (result (result (list u8) (error string)))
      (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
    ${after})`;
}
