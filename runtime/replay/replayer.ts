/**
 * Replay: the machines run again over the log, by the same fold that recovers a shard, and every state digest is
 * compared. Pure but for the bodies that lie in the blob store.
 *
 * R1  Every commit from the first, or from the shard's snapshot where that is asked for, is folded; none is believed
 *     without its digest, nor without its outcomes, mail, effects and timers (compare.ts).
 * R2  Nothing is carried out: mail, effects and timers are looked at and dropped.
 * R3  What shards of another numbering took over is what this replay made of the shards before (import-check.ts).
 */
import type { MachineRegistry } from '#runtime/machine/types';
import { Draft } from '#runtime/shard/draft';
import { Needs } from '#runtime/shard/needs';
import type { BlobStore, EdgeGate } from '#runtime/shard/ports';
import { applyTables, type FoldWatch, foldCommit, type Sources } from '#runtime/shard/recover';
import { loadSnapshot } from '#runtime/shard/snapshot-load';
import { emptyState, type ShardState } from '#runtime/shard/state';
import type { LogMessage } from '#runtime/witness/log-reader';
import type { Commit, EffectRecord, Entry, Mail, TimerRecord } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { type Difference, firstDifference } from './compare.ts';
import { outcomeOf } from './difference.ts';
import { replayErrors } from './errors.ts';
import { Founds } from './founds.ts';
import { ImportCheck } from './import-check.ts';
import { Looks } from './looks.ts';
import type { ActorView, Divergence, EntryPlace, Made } from './report.ts';

export interface ReplayerOptions {
  readonly registry: MachineRegistry;
  readonly shardOf: (address: string) => number;
  readonly eventOf: EdgeGate['eventOf'];
  /** Bodies too big for the log, and snapshots. */
  readonly blobs: BlobReader;
  /** Called after each entry, where it is wanted: it costs as much as the step itself. */
  readonly watch?: (place: EntryPlace, entry: Entry, made: Made, before: ActorView | undefined) => void;
  /** Go on where states differ: for another machine than the log's. */
  readonly goOn?: boolean;
}

export type BlobReader = Pick<BlobStore, 'get' | 'list'>;

/** Ids of messages mean nothing here. */
const NO_IDS = { dedupeWindow: 0, dedupeSeed: 0 };
/** Without a snapshot every actor is in memory. */
const NOTHING_COLD: Sources['hydrator'] = { hydrate: async () => undefined };

export class Replayer {
  readonly #options: ReplayerOptions;
  readonly #shards = new Map<number, Shard>();
  readonly #imports = new ImportCheck((shard) => this.#shards.get(shard)?.state);
  /** Some shards began with a snapshot: what was before is not known. */
  #isPartial = false;
  commits = 0;
  entries = 0;
  digests = 0;

  constructor(options: ReplayerOptions) {
    this.#options = options;
  }

  get actors(): number {
    return [...this.#shards.values()].reduce((sum, { state }) => sum + state.actors.size, 0);
  }

  /** Begins a shard with its last snapshot. Returns the sequence that it stands at; 0 where there is none. Throws `snapshot_damaged`. */
  async restore(shard: number): Promise<number> {
    this.#isPartial = true;
    const { get, list } = this.#options.blobs;
    const blobs: BlobStore = { get, list, put: refuse, delete: refuse };
    const folded = new Folded();
    const empty = (): ShardState => this.#empty(shard, folded);
    const { state, hydrator, base } = await loadSnapshot({
      shard,
      blobs,
      empty,
      passedOver: (_name, damage) => {
        if (damage !== undefined) throw damage;
      },
    });
    this.#shards.set(shard, { state, folded, hydrator });
    if (base === undefined) return 0;
    applyTables(state, base.tables);
    return base.tables.seq;
  }

  /**
   * Folds the next message; where it parts from the log, and undefined where it does not. What a snapshot holds already
   * is passed over. Throws `replay_broken`.
   */
  async take({ seq, shard, bytes }: LogMessage): Promise<Divergence | undefined> {
    const { state, folded, hydrator } = this.#shard(shard);
    if (seq <= state.seq) return undefined;
    const options = this.#options;
    const place = { seq, shard };
    let divergence: Divergence | undefined;
    let made: Draft | undefined;
    const founds = new Founds(state.actors);
    const looks = options.watch === undefined ? undefined : new Looks(state.actors, place);
    const watch: FoldWatch = {
      before: (entry, draft) => {
        made = draft;
        founds.add(entry, draft);
        looks?.before(entry, draft);
      },
      ...(looks !== undefined && { after: (entry, draft) => looks.after(entry, draft) }),
      imported: (taken, cells) => {
        if (options.goOn !== true && !this.#isPartial) this.#imports.take(shard, taken, cells);
      },
      diverged: (commit, draft) => {
        if (options.goOn !== true)
          divergence = divergenceOf(place, commit, draft, founds, firstDifference(commit, draft));
        return true;
      },
    };
    try {
      await foldCommit(
        state,
        { seq, bytes },
        {
          hydrator,
          blobs: options.blobs,
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
    const commit = folded.take();
    if (options.goOn !== true) divergence ??= partingOf(place, commit, made, founds);
    for (const look of looks?.steps ?? []) options.watch?.(look.at, look.entry, look.made, look.before);
    this.commits += 1;
    this.entries += founds.size;
    if (divergence === undefined) this.digests += 1;
    return divergence;
  }

  #shard(shard: number): Shard {
    let found = this.#shards.get(shard);
    if (found === undefined) {
      const folded = new Folded();
      found = { state: this.#empty(shard, folded), folded, hydrator: NOTHING_COLD };
      this.#shards.set(shard, found);
    }
    return found;
  }

  #empty(shard: number, folded: Folded): ShardState {
    const { registry, shardOf } = this.#options;
    return { ...emptyState({ shard, registry, shardOf, ...NO_IDS }), needs: folded };
  }
}

interface Shard {
  readonly state: ShardState;
  readonly folded: Folded;
  readonly hydrator: Sources['hydrator'];
}

/** In place of the versions that a recovery needs, which nobody asks of a replay: the commit that was folded last. */
class Folded extends Needs {
  #commit: Commit | undefined;

  override saw(commit: Commit): void {
    this.#commit = commit;
  }

  /** Once: kept for longer, it would be copied by the collector while the next is folded. */
  take(): Commit | undefined {
    const commit = this.#commit;
    this.#commit = undefined;
    return commit;
  }
}

async function refuse(): Promise<never> {
  throw new TypeError('A replay writes nothing');
}

/** Where the digest agrees, and what the commit recorded beside it does not. */
function partingOf(
  place: Pick<EntryPlace, 'seq' | 'shard'>,
  commit: Commit | undefined,
  made: Draft | undefined,
  founds: Founds,
): Divergence | undefined {
  if (commit === undefined) return undefined;
  // A commit without entries: a fold makes nothing of it.
  const draft = made ?? new Draft(commit.index, commit.at);
  const difference = firstDifference(commit, draft);
  return difference && divergenceOf(place, commit, draft, founds, difference);
}

/**
 * A digest covers a commit: the entry is the first whose recorded outcome differs, or that asked for something else, or
 * else the first that could be it.
 */
function divergenceOf(
  place: Pick<EntryPlace, 'seq' | 'shard'>,
  commit: Commit,
  draft: Draft,
  founds: Founds,
  difference: Difference | undefined,
): Divergence {
  const suspects = [...draft.touched].map(({ address }) => address);
  const first = commit.entries.findIndex(({ actor }) => suspects.includes(actor));
  const n = difference === undefined ? Math.max(0, first) : entryOf(difference, founds);
  const entry = commit.entries[n];
  const replayed = draft.entries[n];
  const before = founds.before(n);
  const after = founds.after(n);
  return {
    ...place,
    index: commit.index,
    n,
    at: commit.at,
    actor: entry?.actor ?? '',
    machine: entry?.machine,
    event: entry?.event,
    ...(before !== undefined && { before }),
    recorded: { ...(entry && outcomeOf(entry)), ...itemOf(difference, 'recorded') },
    replayed: { ...(replayed && outcomeOf(replayed)), ...itemOf(difference, 'replayed') },
    ...(after !== undefined && { after }),
    isExact: difference !== undefined,
    suspects,
  };
}

function entryOf(difference: Difference, founds: Founds): number {
  if (difference.in === 'entries') return difference.n;
  const { at, recorded, replayed } = difference;
  return founds.makerOf(difference.in, at, askerOf(recorded) ?? askerOf(replayed));
}

/** Mail, effect or timer that only one of the two has, or has otherwise. */
function itemOf(difference: Difference | undefined, side: 'recorded' | 'replayed'): object {
  if (difference === undefined || difference.in === 'entries') return {};
  const item = difference[side];
  return item === undefined ? {} : { [difference.in]: item };
}

/** Who asked for it; unknown of an effect that is cancelled. */
function askerOf(item: Mail | EffectRecord | TimerRecord | undefined): string | undefined {
  if (item === undefined) return undefined;
  if ('from' in item) return item.from;
  return 'actor' in item ? item.actor : undefined;
}
