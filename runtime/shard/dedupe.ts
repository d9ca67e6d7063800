/**
 * Message ids already handled, with the log sequence of the commit that holds the answer. Bounded: two generations
 * of half the window each, so the last `window / 2` ids of the shard are always remembered.
 */
export class Dedupe {
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  readonly #generationMax: number;

  constructor(window: number) {
    this.#generationMax = Math.max(1, Math.ceil(window / 2));
  }

  get(key: string): number | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  add(key: string, seq: number): void {
    if (this.#young.size >= this.#generationMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, seq);
  }

  /** Oldest first. */
  entries(): [string, number][] {
    return [...this.#old, ...this.#young];
  }
}

/** An id names one message of one sender to one actor; senders without a name share the nameless one. */
export function dedupeKey(from: string | undefined, actor: string, id: string): string {
  return `${from ?? ''}\n${actor}\n${id}`;
}
