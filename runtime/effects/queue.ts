/** Waiting effects of one driver: actors take turns, so that one with thousands does not hold up the rest. */
export class FairQueue<T> {
  readonly #lanes = new Map<string, Set<T>>();

  push(lane: string, item: T): void {
    const items = this.#lanes.get(lane);
    if (items === undefined) this.#lanes.set(lane, new Set([item]));
    else items.add(item);
  }

  /** The oldest of the lane whose turn it is. */
  shift(): T | undefined {
    for (const [lane, items] of this.#lanes) {
      this.#lanes.delete(lane);
      for (const item of items) {
        items.delete(item);
        if (items.size > 0) this.#lanes.set(lane, items);
        return item;
      }
    }
    return undefined;
  }

  delete(lane: string, item: T): void {
    const items = this.#lanes.get(lane);
    if (items?.delete(item) && items.size === 0) this.#lanes.delete(lane);
  }
}
