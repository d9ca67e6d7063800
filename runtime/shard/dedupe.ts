/**
 * Message ids already handled, with the log sequence of the commit that holds the answer. Bounded: two generations
 * of half the window each, so the last `window / 2` ids of the shard are always remembered.
 *
 * Ids are kept as hashes of 53 bits: a number costs a quarter of a string's memory and no collection. What a hash
 * finds is looked at in the log before it counts as a duplicate, so a collision costs a read and nothing else; the
 * seed is random, so nobody who cannot read the realm's snapshots can choose ids that collide.
 */
import { NumberTable } from './number-table.ts';

/** One half of what is remembered. */
export interface Generation {
  /** Counts the halves since the seed was chosen: one that is older than the youngest never changes again. */
  readonly number: number;
  /** Sequence of the oldest commit with an id in it. */
  readonly fromSeq: number;
  readonly ids: NumberTable;
}

export class Dedupe {
  readonly #generationMax: number;
  #seed: number;
  #number = 0;
  #young = new NumberTable();
  #old = new NumberTable();
  /** Sequence of the oldest commit with an id in either generation. */
  #youngFrom = 0;
  #oldFrom = 0;

  /** A window of 0 remembers nothing. */
  constructor(window: number, seed: number) {
    this.#generationMax = Math.ceil(window / 2);
    this.#seed = seed;
  }

  /** An id names one message of one sender to one actor; senders without a name share the nameless one. */
  key(from: string | undefined, actor: string, id: string): number {
    return hash53(hash53(hash53(this.#seed, from ?? ''), actor), id);
  }

  get(key: number): number | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  get isOff(): boolean {
    return this.#generationMax === 0;
  }

  get seed(): number {
    return this.#seed;
  }

  /** What is remembered now, the older half first; empty halves are left out. The younger one changes with the next id. */
  generations(): Generation[] {
    const old = { number: this.#number - 1, fromSeq: this.#oldFrom, ids: this.#old };
    const young = { number: this.#number, fromSeq: this.#youngFrom, ids: this.#young };
    return [old, young].filter(({ ids }) => ids.size > 0);
  }

  /** Goes on from what another process remembered under its seed. Nothing may have been added before. */
  resume(seed: number, generations: readonly Generation[]): void {
    this.#seed = seed;
    for (const { number, fromSeq, ids } of generations) {
      this.#old = this.#young;
      this.#oldFrom = this.#youngFrom;
      this.#number = number;
      this.#youngFrom = fromSeq;
      this.#young = ids;
    }
  }

  add(key: number, seq: number): void {
    if (this.isOff) return;
    if (this.#young.size >= this.#generationMax) {
      this.#old = this.#young;
      this.#oldFrom = this.#youngFrom;
      this.#young = new NumberTable();
      this.#number += 1;
    }
    if (this.#young.size === 0) this.#youngFrom = seq;
    this.#young.set(key, seq);
  }

  /** Where the ids remembered begin in the log; 0 while there are none. Ids are read back from there, not stored twice. */
  get fromSeq(): number {
    return this.#old.size > 0 ? this.#oldFrom : this.#young.size > 0 ? this.#youngFrom : 0;
  }
}

/** Two multiplicative hashes side by side, 32 and 21 bits of them; good to tell ids apart, not against an enemy who knows the seed. */
function hash53(seed: number, text: string): number {
  let a = (seed ^ 0x9e3779b1) | 0;
  let b = ((seed / 0x1_0000_0000) ^ 0x85ebca77) | 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return (b & 0x1f_ffff) * 0x1_0000_0000 + (a >>> 0);
}
