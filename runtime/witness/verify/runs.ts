/** A run of places where the log differs from what was signed, told apart by what is where. */
import { toHex } from '../bytes.ts';
import type { Leaf } from '../leaf.ts';
import { type Break, ofShard } from './break.ts';

/** One place of a run. */
export interface Place {
  readonly seq: number;
  /** What was signed for it; undefined where that is not known. */
  readonly signed: Leaf | undefined;
  /** What the log has there; undefined for nothing. */
  readonly found:
    | { readonly shard: number; readonly index: number | undefined; readonly hash: Uint8Array }
    | undefined;
}

/** What is known around a run. */
export interface Surroundings {
  /** What was signed near it. */
  readonly near: readonly Leaf[];
  /** Sequences before it that differ from what was signed. */
  readonly differing: ReadonlySet<number>;
  /** Nothing of the log follows it. */
  readonly isTail: boolean;
}

/** What happened to the commits of a run. */
export function breaksOf(run: readonly Place[], { near, differing, isTail }: Surroundings): Break[] {
  const elsewhere = new Map(near.map((leaf) => [toHex(leaf.hash), leaf.seq] as const));
  const signed = new Map(
    run.flatMap((place) => (place.signed ? [[toHex(place.signed.hash), place] as const] : [])),
  );
  const found = countOf(run.flatMap((place) => (place.found ? [toHex(place.found.hash)] : [])));
  const breaks: Break[] = [];
  const moved: Break[] = [];
  for (const place of run) {
    const is = place.found === undefined ? undefined : toHex(place.found.hash);
    const was = place.signed === undefined ? undefined : toHex(place.signed.hash);
    const isLost = was !== undefined && !found.has(was);
    const isForeign = is !== undefined && !signed.has(is);
    const of = (leaf: { shard: number; index: number | undefined } | undefined) => ({
      seq: place.seq,
      ...(leaf !== undefined && ofShard(leaf.shard)),
      ...(leaf?.index !== undefined && { index: leaf.index }),
    });
    const origin = isForeign ? elsewhere.get(is) : undefined;
    // In its own place before this one it is right: then this is a copy of it.
    const isCopy = origin !== undefined && origin < place.seq && !differing.has(origin);
    if (isLost && origin !== undefined && !isCopy) {
      const what = `the commit that was signed for sequence ${origin} stands here`;
      breaks.push({ kind: 'reordered', ...of(place.found), what });
    } else if (isLost && isForeign && !isCopy) {
      const what = `its bytes have the hash ${short(is)}; ${short(was)} was signed`;
      breaks.push({ kind: 'altered', ...of(place.signed), what });
    } else if (isLost && !isCopy) {
      const what = 'the commit that was signed here is not in the log';
      breaks.push({ kind: 'removed', ...of(place.signed), what });
    } else if (isCopy) {
      const what = `it is the commit of sequence ${origin} once more`;
      breaks.push({ kind: 'duplicated', ...of(place.found), what });
    } else if (isForeign) {
      breaks.push({ kind: 'inserted', ...of(place.found), what: 'no such commit was signed' });
    } else if (is !== undefined && (found.get(is) ?? 0) > 1 && signed.get(is)?.seq !== place.seq) {
      const what = `it is the commit of sequence ${signed.get(is)?.seq} once more`;
      breaks.push({ kind: 'duplicated', ...of(place.found), what });
    } else if (is !== undefined && signed.get(is)?.seq !== place.seq) {
      const what = `it was signed for sequence ${signed.get(is)?.seq}`;
      moved.push({ kind: 'reordered', ...of(place.found), what });
    } else if (is === undefined) {
      moved.push({ kind: 'removed', ...of(place.signed), what: 'nothing is stored here' });
    }
  }
  // Where something is gone or came in, what stands behind it has only moved along.
  const told = breaks.length > 0 ? breaks : moved;
  return isTail ? withTail(told, run) : told;
}

/** What is missing up to the end was cut off. */
function withTail(breaks: readonly Break[], run: readonly Place[]): Break[] {
  let from = run.length;
  while (from > 0 && run[from - 1]?.found === undefined) from -= 1;
  const first = run[from];
  if (first === undefined) return [...breaks];
  const count = run.length - from;
  const kept = breaks.filter(({ kind, seq }) => kind !== 'removed' || (seq ?? 0) < first.seq);
  const what = `the log ends before it: ${count} signed ${count === 1 ? 'commit is' : 'commits are'} missing`;
  const where = first.signed === undefined ? {} : { shard: first.signed.shard, index: first.signed.index };
  return [...kept, { kind: 'truncated', seq: first.seq, ...where, what }];
}

function countOf(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

function short(hex: string): string {
  return `${hex.slice(0, 12)}…`;
}
