/**
 * The process in which a replay's machines run. It was started without rights (jail.ts): it gets commits over its
 * channel and gives back what came of them.
 */

import { Subjects } from '#runtime/bus/subjects';
import { edgeGate } from '#runtime/edge/verify';
import { loadMachineModule } from '#runtime/machine/module';
import type { MachineDefinition } from '#runtime/machine/registry';
import { buildRegistry } from '#runtime/node/registry';
import type { LogMessage } from '#runtime/witness/log-reader';
import type { RealmConfig } from '#schemas/config';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { confine } from './confine.ts';
import { replayErrors } from './errors.ts';
import { watchRefusals } from './refusals.ts';
import { type BlobReader, Replayer, type ReplayerOptions } from './replayer.ts';
import type { Divergence, ReplayStep, ReplaySummary, StepFilter } from './report.ts';
import { substitute, WhatIf } from './what-if.ts';

/** What a replay is to do. */
export interface ReplayOrder {
  readonly config: RealmConfig;
  readonly baseDir: string;
  readonly driverNames: readonly string[];
  /** Absent: no steps are wanted. */
  readonly steps?: StepFilter;
  /** `file#export`, relative to `whatIfDir`. */
  readonly whatIf?: string;
  readonly whatIfDir?: string;
  /** Begin with the last snapshot of each shard. */
  readonly fromSnapshot?: boolean;
}

export type ToWorker =
  | { readonly kind: 'order'; readonly order: ReplayOrder }
  | { readonly kind: 'commits'; readonly batch: readonly LogMessage[] }
  | { readonly kind: 'blob'; readonly name: string; readonly bytes: Uint8Array | undefined }
  | { readonly kind: 'names'; readonly prefix: string; readonly names: readonly string[] }
  | { readonly kind: 'end' };

export type FromWorker =
  /** `from`: sequence of the first commit that it needs. */
  | { readonly kind: 'ready'; readonly from: number }
  | { readonly kind: 'took'; readonly steps: readonly ReplayStep[]; readonly divergence?: Divergence }
  | { readonly kind: 'blob'; readonly name: string }
  | { readonly kind: 'list'; readonly prefix: string }
  | { readonly kind: 'done'; readonly summary: ReplaySummary }
  | { readonly kind: 'failed'; readonly error: WireError };

/** Serves one replay over the channel that the process was started with; resolves when the channel closes. */
export async function serveReplay(machines: readonly MachineDefinition[]): Promise<void> {
  if (process.send === undefined)
    throw new FabricError(replayErrors.replay_child_failed, 'There is no channel');
  const send = (message: FromWorker): void => void process.send?.(message);
  const refusals = watchRefusals();
  confine(refusals.tell);
  const gets = new Map<string, PromiseWithResolvers<Uint8Array | undefined>>();
  const lists = new Map<string, PromiseWithResolvers<readonly string[]>>();
  const blobs: BlobReader = {
    get: (name) => wanted(gets, name, () => send({ kind: 'blob', name })),
    list: (prefix) => wanted(lists, prefix, () => send({ kind: 'list', prefix })),
  };
  let work: Work | undefined;
  const handle = async (message: ToWorker): Promise<void> => {
    if (message.kind === 'order') {
      work = await open(message.order, machines, blobs);
      send({ kind: 'ready', from: work.from });
    } else if (message.kind === 'commits') {
      const divergence = await work?.take(message.batch);
      send({ kind: 'took', steps: work?.drain() ?? [], ...(divergence !== undefined && { divergence }) });
    } else if (message.kind === 'end' && work !== undefined) {
      send({ kind: 'done', summary: { ...work.summary(), refused: refusals.list() } });
    }
  };
  let handled = Promise.resolve();
  const inTurn = (message: ToWorker): void => {
    handled = handled.then(() =>
      handle(message).catch((thrown: unknown) => send({ kind: 'failed', error: toWireError(thrown) })),
    );
  };
  const closed = Promise.withResolvers<void>();
  process.on('disconnect', () => closed.resolve());
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'blob') {
      gets.get(message.name)?.resolve(message.bytes);
      gets.delete(message.name);
    } else if (message.kind === 'names') {
      lists.get(message.prefix)?.resolve(message.names);
      lists.delete(message.prefix);
    } else inTurn(message);
  });
  await closed.promise;
}

/** One question at a time for the same thing: who asks meanwhile gets the same answer. */
function wanted<T>(waiting: Map<string, PromiseWithResolvers<T>>, key: string, ask: () => void): Promise<T> {
  let answer = waiting.get(key);
  if (answer === undefined) {
    answer = Promise.withResolvers<T>();
    waiting.set(key, answer);
    ask();
  }
  return answer.promise;
}

interface Work {
  /** Sequence of the first commit that it needs. */
  readonly from: number;
  /** After a divergence nothing more is taken. */
  take(batch: readonly LogMessage[]): Promise<Divergence | undefined>;
  /** Steps since the last call. */
  drain(): ReplayStep[];
  summary(): Omit<ReplaySummary, 'refused'>;
}

async function open(
  order: ReplayOrder,
  machines: readonly MachineDefinition[],
  blobs: BlobReader,
): Promise<Work> {
  const { config, baseDir, driverNames } = order;
  const registry = await buildRegistry({ config, machines, driverNames, baseDir });
  const subjects = new Subjects(config.prefix, config.shards);
  // Only what was accepted is in the log: nothing is checked again.
  const gate = edgeGate({ policy: { unsignedTypes: [], maxAgeMs: 0 }, keyOf: () => undefined });
  const options: ReplayerOptions = {
    registry,
    shardOf: (address) => subjects.shardOf(address),
    eventOf: (envelope) => gate.eventOf(envelope),
    blobs,
  };
  const begin = async (one: Pick<Replayer, 'restore'>): Promise<number> => {
    if (order.fromSnapshot !== true) return 1;
    const at = [];
    for (let shard = 0; shard < config.shards; shard += 1) at.push(await one.restore(shard));
    return Math.min(...at) + 1;
  };
  if (order.whatIf === undefined) {
    const steps: ReplayStep[] = [];
    const watch = order.steps === undefined ? undefined : stepsInto(steps, order.steps);
    const replayer = new Replayer({ ...options, ...(watch !== undefined && { watch }) });
    return new PlainWork(replayer, steps, await begin(replayer));
  }
  const definitions = await loadMachineModule(order.whatIf, order.whatIfDir ?? baseDir);
  const other = substitute(registry, definitions, driverNames);
  const whatIf = new WhatIf(options, other.registry, other.name);
  return new WhatIfWork(whatIf, other.name, await begin(whatIf));
}

/** Keeps the steps that the filter wants. */
function stepsInto(steps: ReplayStep[], { actor, trace }: StepFilter): ReplayerOptions['watch'] {
  return (place, entry, { after }, before) => {
    if (actor !== undefined && entry.actor !== actor) return;
    if (trace !== undefined && entry.trace?.includes(trace) !== true) return;
    steps.push({
      ...place,
      entry,
      ...(before !== undefined && { before }),
      ...(after !== undefined && { after }),
    });
  };
}

class PlainWork implements Work {
  readonly from: number;
  readonly #replayer: Replayer;
  readonly #steps: ReplayStep[];
  #divergence: Divergence | undefined;

  constructor(replayer: Replayer, steps: ReplayStep[], from: number) {
    this.#replayer = replayer;
    this.#steps = steps;
    this.from = from;
  }

  async take(batch: readonly LogMessage[]): Promise<Divergence | undefined> {
    for (const message of batch) {
      if (this.#divergence !== undefined) break;
      this.#divergence = await this.#replayer.take(message);
    }
    return this.#divergence;
  }

  drain(): ReplayStep[] {
    return this.#steps.splice(0);
  }

  summary(): Omit<ReplaySummary, 'refused'> {
    const { commits, entries, actors, digests } = this.#replayer;
    const divergence = this.#divergence;
    return {
      from: this.from,
      commits,
      entries,
      actors,
      digests,
      ...(divergence !== undefined && { divergence }),
      partings: [],
      parted: 0,
      compared: 0,
    };
  }
}

class WhatIfWork implements Work {
  readonly #whatIf: WhatIf;
  readonly #name: string;
  readonly from: number;
  #divergence: Divergence | undefined;

  constructor(whatIf: WhatIf, name: string, from: number) {
    this.#whatIf = whatIf;
    this.#name = name;
    this.from = from;
  }

  async take(batch: readonly LogMessage[]): Promise<Divergence | undefined> {
    for (const message of batch) {
      if (this.#divergence !== undefined) break;
      this.#divergence = await this.#whatIf.take(message);
    }
    return this.#divergence;
  }

  drain(): ReplayStep[] {
    return [];
  }

  summary(): Omit<ReplaySummary, 'refused'> {
    const { was, partings, parted, compared } = this.#whatIf;
    const divergence = this.#divergence;
    if (compared === 0 && divergence === undefined) {
      throw new FabricError(
        replayErrors.what_if_unused,
        `No actor of this log runs on a machine named ${this.#name}`,
      );
    }
    const { commits, entries, actors, digests } = was;
    return {
      from: this.from,
      commits,
      entries,
      actors,
      digests,
      ...(divergence !== undefined && { divergence }),
      partings,
      parted,
      compared,
    };
  }
}
