/**
 * A component in the process that runs it.
 *
 * G1  Generated code may not import: it is a module of its own, without an importer.
 * G2  Every run has fresh instances of the core modules and a fresh world; compiled modules are kept.
 */
import { SourceTextModule } from 'node:vm';
import { type WorldPort, type WorldRun, worldOf } from '../../world/world.ts';
import { type Core, Meter } from './meter.ts';
import { Ended } from './outcome.ts';

export interface Component {
  readonly instantiate: Instantiate;
  readonly cores: ReadonlyMap<string, Core>;
}

export interface Order extends WorldRun {
  readonly input: Uint8Array;
  readonly fuel: number;
  readonly memoryBytes: number;
  readonly outputBytes: number;
}

export interface CoreFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly memoryPages: number;
}

type Instantiate = (
  getCoreModule: (name: string) => Core,
  imports: Record<string, Record<string, unknown>>,
  instantiateCore: (core: Core, imports: WebAssembly.Imports) => WebAssembly.Instance,
) => { run?: unknown };

/** Compiles a component. Throws what V8 and the generated code throw. */
export function loadComponent(glue: string, cores: readonly CoreFile[]): Component {
  const module = new SourceTextModule(glue, { identifier: 'component' }); // G1
  if (module.moduleRequests.length > 0) throw new Error('generated code that imports');
  module.linkRequests([]);
  module.instantiate();
  void module.evaluate();
  if (module.status !== 'evaluated') throw module.error ?? new Error('generated code that waits');
  const { instantiate } = module.namespace as { instantiate?: unknown };
  if (typeof instantiate !== 'function') throw new Error('generated code without instantiate');
  return {
    instantiate: instantiate as Instantiate,
    cores: new Map(
      cores.map(({ name, bytes, memoryPages }) => [
        name,
        { module: new WebAssembly.Module(bytes), memoryPages },
      ]),
    ),
  };
}

/** A run of a component: link it, then start it, then ask what it used. */
export class Run {
  readonly meter: Meter;
  readonly #order: Order;
  #run: ((input: Uint8Array) => unknown) | undefined;

  constructor(order: Order) {
    this.#order = order;
    this.meter = new Meter(order.fuel, order.memoryBytes);
  }

  /** G2. */
  link(component: Component, port: WorldPort): void {
    this.#judged(() => {
      const { run } = component.instantiate(
        (name) => {
          const core = component.cores.get(name);
          if (core === undefined) throw new Error(`there is no core module ${name}`);
          return core;
        },
        worldOf(this.#order, port, (units) => this.meter.pay(units)),
        (core, imports) => this.meter.instantiate(core, imports),
      );
      if (typeof run !== 'function') throw new Error('the component exports no function run');
      this.#run = run as (input: Uint8Array) => unknown;
    });
  }

  /** What the guest returns. Throws {@link Ended} and whatever the guest's code throws. */
  start(): Uint8Array {
    const output = this.#judged(() => this.#run?.(this.#order.input));
    if (!(output instanceof Uint8Array)) throw new Ended('task_unlinked', 'run does not return bytes');
    const { outputBytes } = this.#order;
    if (output.byteLength > outputBytes) {
      throw new Ended(
        'task_output_exceeded',
        `The guest put out ${output.byteLength} bytes; it may ${outputBytes}`,
      );
    }
    return output;
  }

  /** A trap has its reason in the meter, if it is there. */
  #judged<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      if (thrown instanceof Ended) throw thrown;
      if (this.meter.isSpent) {
        throw new Ended('task_fuel_exceeded', `The guest used its ${this.#order.fuel} units of fuel`);
      }
      if (thrown instanceof WebAssembly.RuntimeError && this.meter.isFull) {
        throw new Ended(
          'task_memory_exceeded',
          `The guest trapped with its ${this.#order.memoryBytes} bytes of memory full: ${thrown.message}`,
        );
      }
      if (typeof thrown === 'string') throw new Ended('task_failed', thrown); // `result::err` of run
      throw thrown;
    }
  }
}
