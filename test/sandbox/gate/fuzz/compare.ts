/** Runs of one module, plain and metered, and what can be seen of each. */
import { hash } from 'node:crypto';
import { FUEL_IMPORT, METER_MODULE, PAGES_IMPORT } from '#runtime/sandbox/world/meter';
import { meter } from '../guests.ts';
import { Choices } from './choices.ts';
import { HOST, randomModule, TURNS } from './module.ts';

const PLENTY = 2n ** 50n;
const PAGES = 4_096;

export interface Comparison {
  readonly seed: number;
  /** What was seen of the metered run, its fuel included; the same on every tier. */
  readonly digest: string;
  /** Why the metered run differs from the plain one; undefined where it does not. */
  readonly difference?: string;
}

export function compare(seed: number): Comparison {
  const plain = randomModule(seed);
  const { bytes } = meter(plain);
  const seenPlain = runs(seed, plain);
  const ample = meters(PLENTY);
  const seenMetered = runs(seed, bytes, ample);
  const used = PLENTY - ample[FUEL_IMPORT].value;
  // Half of what it takes: it stops on the way, at the same place on every tier.
  const scarce = meters(used / 2n);
  const seenScarce = runs(seed, bytes, scarce);
  const digest = hash('sha256', [seenMetered, used, seenScarce, scarce[FUEL_IMPORT].value].join('\n'));
  if (seenPlain === seenMetered) return { seed, digest };
  return { seed, digest, difference: `plain:\n${seenPlain}\nmetered:\n${seenMetered}` };
}

function meters(fuel: bigint) {
  return {
    [FUEL_IMPORT]: new WebAssembly.Global({ value: 'i64', mutable: true }, fuel),
    [PAGES_IMPORT]: new WebAssembly.Global({ value: 'i32', mutable: true }, PAGES),
  };
}

/** Every export called in turn: results, traps, calls to the host, and what is in globals and memory at the end. */
function runs(seed: number, bytes: Uint8Array<ArrayBuffer>, metered?: ReturnType<typeof meters>): string {
  const seen: string[] = [];
  const host = {
    base: 1,
    call: (value: number) => {
      seen.push(`call ${value}`);
      return Math.imul(value, 31) + 7;
    },
  };
  const imports = { [HOST]: host, ...(metered !== undefined && { [METER_MODULE]: metered }) };
  let exports: Readonly<Record<string, unknown>>;
  try {
    exports = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports;
  } catch (error) {
    return [...seen, `start: ${String(error)}`].join('\n');
  }
  const choices = new Choices(seed + 1);
  const turns = exports['turns'] as WebAssembly.Global<number>;
  for (const [name, exported] of Object.entries(exports)) {
    if (typeof exported !== 'function') continue;
    for (let twice = 0; twice < 2; twice += 1) {
      turns.value = TURNS;
      seen.push(`${name}: ${outcomeOf(exported as GuestFunction, choices)}`);
    }
  }
  for (const [name, exported] of Object.entries(exports)) {
    if (name.startsWith('g')) seen.push(`${name}: ${shown((exported as WebAssembly.Global<unknown>).value)}`);
  }
  const { buffer } = exports['memory'] as WebAssembly.Memory;
  seen.push(`${buffer.byteLength} ${hash('sha256', new Uint8Array(buffer).subarray(0, 65_536 * 2))}`);
  return seen.join('\n');
}

type GuestFunction = (...values: readonly unknown[]) => unknown;

function outcomeOf(exported: GuestFunction, choices: Choices): string {
  // A number for each parameter; what is an i64 wants a bigint, and says so before anything runs.
  const numbers = [choices.i32(), choices.i32(), choices.i32()];
  for (const values of [numbers, [numbers[0], BigInt(numbers[1] ?? 0), numbers[2]]]) {
    try {
      return shown(exported(...values));
    } catch (error) {
      if (!(error instanceof TypeError)) return String(error);
    }
  }
  return 'not callable';
}

function shown(value: unknown): string {
  return Array.isArray(value) ? value.map(shown).join() : Object.is(value, -0) ? '-0' : String(value);
}
