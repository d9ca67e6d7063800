/**
 * Deals the actors of all shards out to shards of another numbering, and proves that each came along.
 *
 * R1  Every actor is dealt once, with its timers, effects and children, the marks of its senders and the ids of its
 *     messages; nothing of a shard that has more to do than that is dealt at all.
 * R2  The digest of an actor is taken of what the old shard held, and again of what was read back from the new shard's
 *     log: they are the same for all, or nothing counts.
 */
import { encode, sha256 } from '#runtime/bus/codec';
import { COMMIT_FORMAT, type Commit, type Import } from '#schemas/commit';
import { stateDigest } from './commit.ts';
import { recordOf } from './hydrate.ts';
import type { Cell } from './table.ts';

/** Actors of one part: a part is cut earlier where it fills the largest message. */
const PART_ACTORS_MAX = 1_000;
/** Ids or marks of senders, the same. */
const PART_ROWS_MAX = 10_000;

/** What a new shard gets. */
export interface Hand {
  readonly cells: Cell[];
  readonly senders: Import['senders'][number][];
  readonly ids: Import['ids'][number][];
}

/** What an old shard holds. */
export interface Holdings {
  readonly cells: Iterable<Cell>;
  readonly senders: Import['senders'];
  readonly ids: Import['ids'];
}

export class Deal {
  readonly hands: readonly Hand[];
  readonly #shardOf: (address: string) => number;
  readonly #digests = new Map<string, string>();

  constructor(shards: number, shardOf: (address: string) => number) {
    this.#shardOf = shardOf;
    this.hands = Array.from({ length: shards }, () => ({ cells: [], senders: [], ids: [] }));
  }

  get actors(): number {
    return this.#digests.size;
  }

  /** R1. */
  add({ cells, senders, ids }: Holdings): void {
    for (const cell of cells) {
      const { address } = cell;
      if (this.#digests.has(address)) throw new Error(`invariant: ${address} lives in two shards`);
      this.#digests.set(address, digestOf(cell));
      this.#hand(address).cells.push(cell);
    }
    for (const sender of senders) this.#hand(actorOfSender(sender[0])).senders.push(sender);
    for (const id of ids) this.#hand(id[1]).ids.push(id);
  }

  /** The hash over the digests of all actors, in order of their addresses. */
  digest(): Uint8Array {
    return sha256(encode([...this.#digests].sort(([a], [b]) => (a < b ? -1 : 1))));
  }

  /** R2: which actors are not there, not the same, or too many; empty where all came along. */
  missing(found: ReadonlyMap<string, string>): string[] {
    const wrong = [...this.#digests].filter(([address, digest]) => found.get(address) !== digest);
    const more = [...found.keys()].filter((address) => !this.#digests.has(address));
    return [...wrong.map(([address]) => address), ...more];
  }

  #hand(address: string): Hand {
    const hand = this.hands[this.#shardOf(address)];
    if (hand === undefined) throw new Error(`invariant: ${address} lives in one of the new shards`);
    return hand;
  }
}

/** Of all that an actor is: state, machine, parent, children, timers and effects. */
export function digestOf(cell: Cell): string {
  return Buffer.from(sha256(encode(recordOf(cell)))).toString('base64url');
}

/** Where the parts of a hand go. */
export interface Place {
  readonly shard: number;
  readonly from: number;
  readonly to: number;
  /** Head of the shard's log. */
  readonly index: number;
  readonly prev: Uint8Array;
  readonly at: number;
  readonly epoch: number;
  /** End of the inbox: all of it is consumed. */
  readonly consumed: number;
}

/** A hand as parts of an import, in order; at least one. */
export function partsOf({ cells, senders, ids }: Hand, bytesMax: number): Part[] {
  const sorted = cells.toSorted((a, b) => (a.address < b.address ? -1 : 1));
  const byAge = ids.toSorted((a, b) => a[3] - b[3]);
  const none = { cells: [], senders: [], ids: [] };
  const parts: Part[] = [
    ...cut(sorted, PART_ACTORS_MAX, bytesMax / 2, recordOf).map((some) => ({ ...none, cells: some })),
    ...cut(senders, PART_ROWS_MAX, bytesMax / 2).map((some) => ({ ...none, senders: some })),
    ...cut(byAge, PART_ROWS_MAX, bytesMax / 2).map((some) => ({ ...none, ids: some })),
  ];
  return parts.length > 0 ? parts : [none];
}

/** Lists of at most so many items, and of so many bytes where they are more than one. */
function cut<T>(
  items: readonly T[],
  countMax: number,
  bytesMax: number,
  stored: (item: T) => unknown = (item) => item,
): T[][] {
  const lists: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    const size = encode(stored(item)).byteLength;
    const last = lists.at(-1);
    if (last === undefined || last.length === countMax || bytes + size > bytesMax) {
      lists.push([item]);
      bytes = size;
    } else {
      last.push(item);
      bytes += size;
    }
  }
  return lists;
}

export interface Part {
  readonly cells: readonly Cell[];
  readonly senders: Import['senders'];
  readonly ids: Import['ids'];
}

/** The commit of a part that follows `head`. */
export function commitOf(
  { cells, senders, ids }: Part,
  part: number,
  head: Pick<Place, 'index' | 'prev'>,
  place: Place,
  total: Import['total'] | undefined,
): Commit {
  const digest = stateDigest(new Set(cells));
  const index = head.index + 1;
  const { shard, from, to, at, epoch, consumed } = place;
  const actors = cells.map(recordOf);
  return {
    format: COMMIT_FORMAT,
    shard,
    index,
    prev: head.prev,
    at,
    epoch,
    consumed,
    acted: index - 1,
    import: { from, to, part, actors, senders, ids, ...(total !== undefined && { total }) },
    entries: [],
    ...(digest !== undefined && { digest }),
  };
}

function actorOfSender(key: string): string {
  return key.slice(key.lastIndexOf('>') + 1);
}
