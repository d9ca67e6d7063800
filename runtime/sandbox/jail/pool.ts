/**
 * The jail of a node: processes for tasks, some started before anybody asks.
 *
 * J1  A process serves one tenant from its first task to its end.
 * J2  It is ended after a failure, after many runs, when it knows many components, and when another tenant needs its place.
 * J3  No more processes run tasks than the pool has places; who comes then waits in turn, and past a bound is refused.
 * J4  The layers are those of the report for the life of the pool (L1).
 * J5  One component at a time is at the gate: its process may take a gigabyte.
 * J6  Few processes start at a time, however many are wanted.
 */
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { formatBytes } from '#schemas/units';
import { jailErrors } from './errors.ts';
import { GateProcess } from './gate-process.ts';
import { closeLayers, type Layer, type LayerPolicy, type Layers, openLayers } from './layers.ts';
import { TASK_PROGRAM } from './programs.ts';
import { Starts } from './starts.ts';
import { TaskProcess } from './task-process.ts';
import type { JailResult, JailTask } from './types.ts';

export interface JailOptions {
  readonly require: LayerPolicy;
  /** Tasks at a time. */
  readonly size?: number;
  /** Processes that wait, started, for a tenant without one. */
  readonly spares?: number;
  /** Processes that start at a time. */
  readonly startsMax?: number;
  /** Tasks that wait for a place. */
  readonly queueMax?: number;
  /** The most memory that a task may be given. */
  readonly memoryBytesMax?: number;
}

const MIB = 1024 * 1024;
const DEFAULTS = { size: 4, spares: 1, startsMax: 2, queueMax: 1_000, memoryBytesMax: 256 * MIB };
/** After so many runs a process makes room for a fresh one (J2). */
const RUNS_MAX = 1_000;
const COMPONENTS_MAX = 16;
const PREPARING_MAX = 64;

interface Waiting {
  readonly task: JailTask;
  readonly place: PromiseWithResolvers<Place>;
}

/** A process at work or at rest, of a tenant. */
interface Place {
  readonly tenant: string;
  process: Promise<TaskProcess>;
  isBusy: boolean;
}

export class Jail {
  readonly #options: Required<JailOptions>;
  readonly #layers: Layers;
  readonly #queue: Waiting[] = [];
  /** The longest idle first. */
  #places: Place[] = [];
  #spares: Promise<TaskProcess>[] = [];
  #gate: Promise<GateProcess> | undefined;
  #gated: Promise<unknown> = Promise.resolve();
  readonly #starts: Starts;
  #preparing = 0;
  #started = 0;
  #isClosed = false;

  private constructor(options: Required<JailOptions>, layers: Layers) {
    this.#options = options;
    this.#starts = new Starts(options.startsMax);
    this.#layers = layers;
  }

  /** Throws `jail_layers_missing`. */
  static async open(options: JailOptions): Promise<Jail> {
    const jail = new Jail({ ...DEFAULTS, ...options }, await openLayers(options.require));
    jail.#prepare();
    return jail;
  }

  get layers(): readonly Layer[] {
    return this.#layers.report; // J4
  }

  /** What came of a task. Throws `jail_busy`, `jail_closed`, `jail_not_started`, and `jail_limits_refused`. */
  async run(task: JailTask): Promise<JailResult> {
    const { memoryBytesMax } = this.#options;
    if (task.limits.memoryBytes > memoryBytesMax) {
      throw new FabricError(
        jailErrors.jail_limits_refused,
        `A task may have ${formatBytes(memoryBytesMax)} of memory here, not ${formatBytes(task.limits.memoryBytes)}`,
      );
    }
    const place = this.#findPlace(task) ?? (await this.#wait(task));
    try {
      const idle = await place.process;
      if (this.#isClosed) throw closed();
      if (idle.isEnded) place.process = this.#start(); // it died while it had nothing to do
      return await (await place.process).run(task);
    } finally {
      await this.#leave(place);
    }
  }

  /**
   * Lets a component in, in a process that does nothing else; one after the other (J5).
   * Throws `component_*`, `jail_busy`, `jail_closed`, `jail_not_started`.
   */
  async prepare(component: Uint8Array): Promise<GatedComponent> {
    if (this.#preparing >= PREPARING_MAX) {
      throw new FabricError(jailErrors.jail_busy, `${this.#preparing} components wait at the gate already`);
    }
    this.#preparing += 1;
    const gated = this.#gated.then(() => this.#passGate(component));
    this.#gated = gated.catch(() => undefined);
    try {
      return await gated;
    } finally {
      this.#preparing -= 1;
    }
  }

  async #passGate(component: Uint8Array): Promise<GatedComponent> {
    if (this.#isClosed) throw closed();
    const gate = this.#gate ?? this.#startGate();
    this.#gate = gate;
    try {
      return await (await gate).gate(component);
    } finally {
      // Where one component comes others follow.
      this.#gate = this.#isClosed ? undefined : this.#startGate();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await end(this.#gate);
    for (const { place } of this.#queue.splice(0)) place.reject(closed());
    const all = [...this.#spares, ...this.#places.map(({ process }) => process)];
    await Promise.all(all.map(end));
    await closeLayers(this.#layers);
  }

  /** Starts what is to wait for work. One that does not start is tried again when it is needed. */
  #prepare(): void {
    while (!this.#isClosed && this.#spares.length < this.#options.spares) {
      const spare = this.#start();
      this.#spares.push(spare);
      spare.catch(() => {
        this.#spares = this.#spares.filter((each) => each !== spare);
      });
    }
  }

  #start(): Promise<TaskProcess> {
    return this.#inTurn((name) =>
      TaskProcess.start({
        program: TASK_PROGRAM,
        layers: this.#layers,
        memoryBytesMax: this.#options.memoryBytesMax,
        name,
      }),
    );
  }

  /** J6. */
  #inTurn<T>(start: (name: string) => Promise<T>): Promise<T> {
    return this.#starts.run(() => {
      if (this.#isClosed) throw closed();
      this.#started += 1;
      return start(String(this.#started));
    });
  }

  #startGate(): Promise<GateProcess> {
    const started = this.#inTurn((name) => GateProcess.start(this.#layers, `gate-${name}`));
    started.catch(() => undefined); // told when it is needed
    return started;
  }

  #findPlace({ tenant }: JailTask): Place | undefined {
    if (this.#isClosed) throw closed();
    const own = this.#places.findLast((place) => !place.isBusy && place.tenant === tenant);
    if (own !== undefined) return this.#occupy(own);
    if (this.#places.length >= this.#options.size) {
      const idle = this.#places.find(({ isBusy }) => !isBusy);
      if (idle === undefined) return undefined; // J3
      this.#places = this.#places.filter((place) => place !== idle); // J2
      void end(idle.process);
    }
    const place = { tenant, process: this.#spares.shift() ?? this.#start(), isBusy: true };
    this.#places.push(place); // J1
    return place;
  }

  #occupy(place: Place): Place {
    place.isBusy = true;
    return place;
  }

  async #wait(task: JailTask): Promise<Place> {
    if (this.#queue.length >= this.#options.queueMax) {
      throw new FabricError(jailErrors.jail_busy, `${this.#queue.length} tasks wait for the jail already`);
    }
    const waiting: Waiting = { task, place: Promise.withResolvers() };
    this.#queue.push(waiting);
    const cancel = (): void => {
      const at = this.#queue.indexOf(waiting);
      if (at < 0) return;
      this.#queue.splice(at, 1);
      waiting.place.reject(
        new FabricError(jailErrors.task_cancelled, 'The task was cancelled before it began'),
      );
    };
    task.signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await waiting.place.promise;
    } finally {
      task.signal?.removeEventListener('abort', cancel);
    }
  }

  async #leave(place: Place): Promise<void> {
    const process = await place.process.catch(() => undefined);
    const isSpent =
      process === undefined ||
      process.isEnded ||
      process.runs >= RUNS_MAX ||
      process.components.size >= COMPONENTS_MAX;
    this.#places = this.#places.filter((each) => each !== place);
    if (isSpent) void end(place.process);
    else this.#places.push(place);
    place.isBusy = false;
    this.#next();
    this.#prepare();
  }

  /** J3: in turn. */
  #next(): void {
    while (!this.#isClosed) {
      const [waiting] = this.#queue;
      const place = waiting === undefined ? undefined : this.#findPlace(waiting.task);
      if (waiting === undefined || place === undefined) return;
      this.#queue.shift();
      waiting.place.resolve(place);
    }
  }
}

async function end(process: Promise<TaskProcess | GateProcess> | undefined): Promise<void> {
  // One that did not start has ended.
  await process?.then((started) => started.kill()).catch(toWireError);
}

function closed(): FabricError {
  return new FabricError(jailErrors.jail_closed, 'The jail is closed');
}
