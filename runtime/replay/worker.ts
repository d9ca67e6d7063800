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
import { replayErrors } from './errors.ts';
import { Replayer, type ReplayerOptions } from './replayer.ts';
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
}

export type ToWorker =
  | { readonly kind: 'order'; readonly order: ReplayOrder }
  | { readonly kind: 'commits'; readonly batch: readonly LogMessage[] }
  | { readonly kind: 'blob'; readonly name: string; readonly bytes: Uint8Array | undefined }
  | { readonly kind: 'end' };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'took'; readonly steps: readonly ReplayStep[]; readonly divergence?: Divergence }
  | { readonly kind: 'blob'; readonly name: string }
  | { readonly kind: 'done'; readonly summary: ReplaySummary }
  | { readonly kind: 'failed'; readonly error: WireError };

/** Serves one replay over the channel that the process was started with; resolves when the channel closes. */
export async function serveReplay(machines: readonly MachineDefinition[]): Promise<void> {
  if (process.send === undefined)
    throw new FabricError(replayErrors.replay_child_failed, 'There is no channel');
  const send = (message: FromWorker): void => void process.send?.(message);
  const blobs = new Map<string, PromiseWithResolvers<Uint8Array | undefined>>();
  const blob = (name: string): Promise<Uint8Array | undefined> => {
    const wanted = Promise.withResolvers<Uint8Array | undefined>();
    blobs.set(name, wanted);
    send({ kind: 'blob', name });
    return wanted.promise;
  };
  let work: Work | undefined;
  const handle = async (message: ToWorker): Promise<void> => {
    if (message.kind === 'order') {
      work = await open(message.order, machines, blob);
      send({ kind: 'ready' });
    } else if (message.kind === 'commits') {
      const divergence = await work?.take(message.batch);
      send({ kind: 'took', steps: work?.drain() ?? [], ...(divergence !== undefined && { divergence }) });
    } else if (message.kind === 'end' && work !== undefined) send({ kind: 'done', summary: work.summary() });
  };
  const closed = Promise.withResolvers<void>();
  process.on('disconnect', () => closed.resolve());
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'blob') {
      blobs.get(message.name)?.resolve(message.bytes);
      blobs.delete(message.name);
      return;
    }
    handle(message).catch((thrown: unknown) => send({ kind: 'failed', error: toWireError(thrown) }));
  });
  await closed.promise;
}

interface Work {
  take(batch: readonly LogMessage[]): Promise<Divergence | undefined>;
  /** Steps since the last call. */
  drain(): ReplayStep[];
  summary(): ReplaySummary;
}

async function open(
  order: ReplayOrder,
  machines: readonly MachineDefinition[],
  blob: ReplayerOptions['blob'],
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
    blob,
  };
  if (order.whatIf === undefined) return new PlainWork(options, order.steps);
  const definitions = await loadMachineModule(order.whatIf, order.whatIfDir ?? baseDir);
  const other = substitute(registry, definitions, driverNames);
  return new WhatIfWork(new WhatIf(options, other.registry, other.name), other.name);
}

class PlainWork implements Work {
  readonly #replayer: Replayer;
  #steps: ReplayStep[] = [];
  #divergence: Divergence | undefined;

  constructor(options: ReplayerOptions, filter: StepFilter | undefined) {
    this.#replayer = new Replayer({
      ...options,
      ...(filter !== undefined && {
        watch: (place, entry, made, before) => {
          if (filter.actor !== undefined && entry.actor !== filter.actor) return;
          if (filter.trace !== undefined && entry.trace?.includes(filter.trace) !== true) return;
          const { after } = made;
          this.#steps.push({
            ...place,
            entry,
            ...(before !== undefined && { before }),
            ...(after !== undefined && { after }),
          });
        },
      }),
    });
  }

  async take(batch: readonly LogMessage[]): Promise<Divergence | undefined> {
    for (const message of batch) {
      this.#divergence = await this.#replayer.take(message);
      if (this.#divergence !== undefined) return this.#divergence;
    }
    return undefined;
  }

  drain(): ReplayStep[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  summary(): ReplaySummary {
    const { commits, entries, actors, digests } = this.#replayer;
    const divergence = this.#divergence;
    return {
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

  constructor(whatIf: WhatIf, name: string) {
    this.#whatIf = whatIf;
    this.#name = name;
  }

  async take(batch: readonly LogMessage[]): Promise<undefined> {
    for (const message of batch) await this.#whatIf.take(message);
  }

  drain(): ReplayStep[] {
    return [];
  }

  summary(): ReplaySummary {
    const { was, partings, parted, compared } = this.#whatIf;
    if (compared === 0) {
      throw new FabricError(
        replayErrors.what_if_unused,
        `No actor of this log runs on a machine named ${this.#name}`,
      );
    }
    const { commits, entries, actors, digests } = was;
    return { commits, entries, actors, digests, partings, parted, compared };
  }
}
