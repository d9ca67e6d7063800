/**
 * A map from numbers to numbers in two flat arrays: open addressing, linear probing, nothing is removed. A Map boxes
 * every key above 31 bits, and a hundred thousand boxes that live long are what the collector copies all day.
 */
const CAPACITY_FIRST = 1_024;
/** Of the slots, before the table doubles: probes stay short. */
const LOAD_MAX = 0.6;

export class NumberTable {
  size = 0;
  /** Key + 1; 0 where a slot is free. */
  #keys = new Float64Array(CAPACITY_FIRST);
  #values = new Float64Array(CAPACITY_FIRST);
  #growAt = Math.floor(CAPACITY_FIRST * LOAD_MAX);

  /** Keys are integers from 0 to 2^53 − 2, their low 32 bits spread evenly. */
  get(key: number): number | undefined {
    const slot = this.#slotOf(key);
    return this.#keys[slot] === 0 ? undefined : this.#values[slot];
  }

  set(key: number, value: number): void {
    const slot = this.#slotOf(key);
    this.#values[slot] = value;
    if (this.#keys[slot] !== 0) return;
    this.#keys[slot] = key + 1;
    this.size += 1;
    if (this.size >= this.#growAt) this.#grow();
  }

  /** Every pair, in no order that means anything. */
  pairs(): { readonly keys: Float64Array; readonly values: Float64Array } {
    const keys = new Float64Array(this.size);
    const values = new Float64Array(this.size);
    let at = 0;
    // No iterator: a pair for each slot would keep a shard waiting for several times as long.
    for (let slot = 0; slot < this.#keys.length; slot += 1) {
      const mark = this.#keys[slot] ?? 0;
      if (mark === 0) continue;
      keys[at] = mark - 1;
      values[at] = this.#values[slot] ?? 0;
      at += 1;
    }
    return { keys, values };
  }

  /** The slot of the key, or the free one where it would be. */
  #slotOf(key: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    const mark = key + 1;
    let slot = key & mask;
    while (keys[slot] !== 0 && keys[slot] !== mark) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Float64Array(keys.length * 2);
    this.#values = new Float64Array(keys.length * 2);
    this.#growAt = Math.floor(this.#keys.length * LOAD_MAX);
    for (let i = 0; i < keys.length; i += 1) {
      const mark = keys[i] ?? 0;
      if (mark === 0) continue;
      const slot = this.#slotOf(mark - 1);
      this.#keys[slot] = mark;
      this.#values[slot] = values[i] ?? 0;
    }
  }
}
