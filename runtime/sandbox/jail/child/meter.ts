/**
 * Fuel and memory of one run.
 *
 * M1  All core modules of a run share one counter of each kind, which no guest can name.
 * M2  The memory that a module begins with is paid before the module is made.
 */
import { FUEL_IMPORT, MEMORY_EXPORT, METER_MODULE, PAGE_BYTES, PAGES_IMPORT } from '../../world/meter.ts';
import { Ended } from './outcome.ts';

export interface Core {
  readonly module: WebAssembly.Module;
  readonly memoryPages: number;
}

export class Meter {
  readonly #limit: bigint;
  readonly #fuel: WebAssembly.Global<bigint>;
  readonly #pages: WebAssembly.Global<number>;
  readonly #memories: WebAssembly.Memory[] = [];

  constructor(fuel: number, memoryBytes: number) {
    this.#limit = BigInt(fuel);
    this.#fuel = new WebAssembly.Global({ value: 'i64', mutable: true }, this.#limit);
    const pages = Math.floor(memoryBytes / PAGE_BYTES);
    this.#pages = new WebAssembly.Global({ value: 'i32', mutable: true }, pages);
  }

  /** Makes a core module. Throws `task_memory_exceeded`, and what V8 and the module's start throw. */
  instantiate({ module, memoryPages }: Core, imports: WebAssembly.Imports): WebAssembly.Instance {
    this.#pages.value -= memoryPages; // M2
    if (this.#pages.value < 0)
      throw new Ended('task_memory_exceeded', 'The guest begins with more than it may have');
    const meter = { [FUEL_IMPORT]: this.#fuel, [PAGES_IMPORT]: this.#pages };
    const instance = new WebAssembly.Instance(module, { ...imports, [METER_MODULE]: meter }); // M1
    const memory = instance.exports[MEMORY_EXPORT];
    if (memory instanceof WebAssembly.Memory) this.#memories.push(memory);
    return instance;
  }

  /** Throws `task_fuel_exceeded`. */
  pay(units: number): void {
    this.#fuel.value -= BigInt(units);
    if (this.isSpent)
      throw new Ended('task_fuel_exceeded', `The guest used its ${this.#limit} units of fuel`);
  }

  get isSpent(): boolean {
    return this.#fuel.value < 0n;
  }

  /** Never more than the limit: by how much the last segment went past it is nobody's business. */
  get fuel(): number {
    const left = this.#fuel.value < 0n ? 0n : this.#fuel.value;
    return Number(this.#limit - left);
  }

  get memoryBytes(): number {
    return this.#memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  }

  /** Not a page more could be had. */
  get isFull(): boolean {
    return this.#memories.length > 0 && this.#pages.value <= 0;
  }
}
