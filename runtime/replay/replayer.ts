/**
 * Replay: the machines run again over the log, by the same fold that recovers a shard, and every state digest is
 * compared. Pure but for the bodies that lie in the blob store.
 *
 * R1  Every commit from the first is folded; none is believed without its digest.
 * R2  Nothing is carried out: mail, effects and timers are looked at and dropped.
 */
import type { MachineRegistry } from '#runtime/machine/types';
import type { Draft } from '#runtime/shard/draft';
import type { EdgeGate } from '#runtime/shard/ports';
import { type FoldWatch, foldCommit } from '#runtime/shard/recover';
import { emptyState, type ShardState } from '#runtime/shard/state';
import type { LogMessage } from '#runtime/witness/log-reader';
import type { Commit, Entry } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { firstDifference, outcomeOf } from './difference.ts';
import { replayErrors } from './errors.ts';
import type { ActorView, Divergence, EntryPlace, Made } from './report.ts';

export interface ReplayerOptions {
  readonly registry: MachineRegistry;
  readonly shardOf: (address: string) => number;
  readonly eventOf: EdgeGate['eventOf'];
  /** A body too big for the log. */
  readonly blob: (name: string) => Promise<Uint8Array | undefined>;
  /** Called after each entry, where it is wanted: it costs as much as the step itself. */
  readonly watch?: (place: EntryPlace, entry: Entry, made: Made, before: ActorView | undefined) => void;
  /** Go on where states differ: for another machine than the log's. */
  readonly goOn?: boolean;
}

/** Ids of messages mean nothing here. */
const NO_IDS = { dedupeWindow: 2, dedupeSeed: 0 };

export class Replayer {
  readonly #options: ReplayerOptions;
  readonly #shards = new Map<number, ShardState>();
  commits = 0;
  entries = 0;
  digests = 0;

  constructor(options: ReplayerOptions) {
    this.#options = options;
  }

  get actors(): number {
    return [...this.#shards.values()].reduce((sum, { actors }) => sum + actors.size, 0);
  }

  /** Folds the next message; where it parts from the log, and undefined where it does not. Throws `replay_broken`. */
  async take({ seq, shard, bytes }: LogMessage): Promise<Divergence | undefined> {
    const state = this.#state(shard);
    const options = this.#options;
    const place = { seq, shard };
    let divergence: Divergence | undefined;
    const steps: Looked[] = [];
    const watch: FoldWatch = {
      step: (entry, n, draft, apply) => {
        this.entries += 1;
        if (options.watch === undefined) {
          apply();
          return;
        }
        steps.push(look(state, { ...place, index: draft.index, n, at: draft.at }, entry, draft, apply));
      },
      diverged: (commit, draft) => {
        if (options.goOn !== true) divergence = divergenceOf(state, place, commit, draft);
        return true;
      },
    };
    try {
      await foldCommit(
        state,
        { seq, bytes },
        {
          hydrator: { hydrate: async () => undefined },
          blobs: { get: options.blob },
          eventOf: options.eventOf,
          watch,
        },
      );
    } catch (thrown) {
      if (!(thrown instanceof FabricError)) throw thrown;
      throw new FabricError(replayErrors.replay_broken, `Sequence ${seq}: ${thrown.message}`, {
        details: { seq, shard },
        cause: thrown,
      });
    }
    for (const { at, entry, made, before } of steps) options.watch?.(at, entry, made, before);
    this.commits += 1;
    if (divergence === undefined) this.digests += 1;
    return divergence;
  }

  #state(shard: number): ShardState {
    let state = this.#shards.get(shard);
    if (state === undefined) {
      const { registry, shardOf } = this.#options;
      state = emptyState({ shard, registry, shardOf, ...NO_IDS });
      this.#shards.set(shard, state);
    }
    return state;
  }
}

interface Looked {
  readonly at: EntryPlace;
  readonly entry: Entry;
  readonly made: Made;
  readonly before: ActorView | undefined;
}

function look(state: ShardState, at: EntryPlace, entry: Entry, draft: Draft, apply: () => Entry): Looked {
  const before = viewOf(state, entry.actor);
  const [mail, effects, timers] = [draft.mail.length, draft.effects.length, draft.timers.length];
  const now = apply();
  const after = viewOf(state, entry.actor);
  const made: Made = {
    ...outcomeOf(now),
    ...(after !== undefined && { after }),
    mail: draft.mail.slice(mail),
    effects: draft.effects.slice(effects),
    timers: draft.timers.slice(timers),
  };
  return { at, entry, made, before };
}

function viewOf(state: ShardState, address: string): ActorView | undefined {
  const cell = state.actors.peek(address);
  if (typeof cell !== 'object') return undefined;
  const { status, value, context } = cell.state;
  return { machine: cell.machine.ref, status: cell.failed === undefined ? status : 'error', value, context };
}

function divergenceOf(
  state: ShardState,
  place: Pick<EntryPlace, 'seq' | 'shard'>,
  commit: Commit,
  draft: Draft,
): Divergence {
  const found = firstDifference(commit.entries, draft.entries);
  const n = found ?? 0;
  const entry = commit.entries[n];
  const replayed = draft.entries[n];
  const after = entry === undefined ? undefined : viewOf(state, entry.actor);
  return {
    ...place,
    index: commit.index,
    n,
    at: commit.at,
    actor: entry?.actor ?? '',
    machine: entry?.machine,
    event: entry?.event,
    recorded: entry === undefined ? {} : outcomeOf(entry),
    replayed: replayed === undefined ? {} : outcomeOf(replayed),
    ...(after !== undefined && { after }),
    isExact: found !== undefined,
    suspects: [...draft.touched].map(({ address }) => address),
  };
}
