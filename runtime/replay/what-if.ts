/** Another machine over the same inputs: where would histories part? */
import { isDeepStrictEqual } from 'node:util';
import { createRegistry, type MachineDefinition } from '#runtime/machine/registry';
import type { Machine, MachineRegistry } from '#runtime/machine/types';
import type { LogMessage } from '#runtime/witness/log-reader';
import type { Entry } from '#schemas/commit';
import { Replayer, type ReplayerOptions } from './replayer.ts';
import type { Divergence, EntryPlace, Made, Parting } from './report.ts';

/** Partings told of one by one; further actors are counted. */
const PARTINGS_MAX = 1_000;

/** A registry in which a machine stands in for every version of its name. */
export function substitute(
  base: MachineRegistry,
  definitions: readonly MachineDefinition[],
  driverNames: Iterable<string>,
): { readonly registry: MachineRegistry; readonly name: string } {
  const other = createRegistry(driverNames);
  let newest: Machine | undefined;
  for (const definition of definitions) newest = other.define(definition);
  if (newest === undefined) throw new RangeError('There is no machine to stand in');
  const machine = newest;
  const names = new Set([machine.name]);
  const standIn = (version: number): Machine => ({
    name: machine.name,
    version,
    // Under the log's name of it, so that only what it does differs.
    ref: `${machine.name}@${version}`,
    initial: (input, context) => machine.initial(input, context),
    step: (state, event, context) => machine.step(state, event, context),
    persist: (state) => machine.persist(state),
    restore: (persisted) => machine.restore(persisted),
    events: machine.events,
  });
  const registry: MachineRegistry = {
    machine: (name, version) =>
      names.has(name) ? standIn(version ?? machine.version) : base.machine(name, version),
    byRef(ref) {
      const at = ref.lastIndexOf('@');
      const name = at < 0 ? ref : ref.slice(0, at);
      if (names.has(name)) return standIn(at < 0 ? machine.version : Number(ref.slice(at + 1)));
      try {
        return base.byRef(ref);
      } catch (thrown) {
        // A child of the machine that stands in.
        try {
          return other.byRef(ref);
        } catch {
          throw thrown;
        }
      }
    },
    kind: (type) => base.kind(type),
    kinds: () => base.kinds(),
    migrate: (name, from, to, persisted) =>
      names.has(name) ? persisted : base.migrate(name, from, to, persisted),
  };
  return { registry, name: machine.name };
}

/** Runs the log's machines and the other one side by side, with the inputs that the log has. */
export class WhatIf {
  readonly #was: Replayer;
  readonly #wouldBe: Replayer;
  readonly #name: string;
  #entries: [EntryPlace, Entry, Made][] = [];
  #others: Made[] = [];
  readonly #compared = new Set<string>();
  readonly #parted = new Set<string>();
  readonly partings: Parting[] = [];

  constructor(options: Omit<ReplayerOptions, 'watch' | 'goOn'>, registry: MachineRegistry, name: string) {
    this.#name = name;
    this.#was = new Replayer({
      ...options,
      watch: (place, entry, made) => this.#entries.push([place, entry, made]),
    });
    this.#wouldBe = new Replayer({
      ...options,
      registry,
      goOn: true,
      watch: (_place, _entry, made) => this.#others.push(made),
    });
  }

  /** Actors that ran on the machine. */
  get compared(): number {
    return this.#compared.size;
  }

  get parted(): number {
    return this.#parted.size;
  }

  get was(): Replayer {
    return this.#was;
  }

  /** Begins a shard with its last snapshot, on both sides. */
  async restore(shard: number): Promise<number> {
    await this.#wouldBe.restore(shard);
    return await this.#was.restore(shard);
  }

  /** Where the log's own machines part from it there is nothing to compare with. */
  async take(message: LogMessage): Promise<Divergence | undefined> {
    this.#entries = [];
    this.#others = [];
    const divergence = await this.#was.take(message);
    if (divergence !== undefined) return divergence;
    await this.#wouldBe.take(message);
    for (const [i, [place, entry, was]] of this.#entries.entries()) {
      const wouldBe = this.#others[i];
      if (!entry.machine?.startsWith(`${this.#name}@`)) continue;
      this.#compared.add(entry.actor);
      if (wouldBe === undefined || this.#parted.has(entry.actor) || isDeepStrictEqual(was, wouldBe)) continue;
      this.#parted.add(entry.actor);
      if (this.partings.length < PARTINGS_MAX) {
        this.partings.push({ ...place, actor: entry.actor, event: entry.event, was, wouldBe });
      }
    }
    return undefined;
  }
}
