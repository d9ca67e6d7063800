/** Rows that leave together: what was added at the same moment for the same subject goes out as one list. */

/** Rows of one list; a node takes no more than 512. */
const ROWS_MAX = 256;
/** Characters of one list: at three bytes each they stay below the 64 KiB that a node takes. */
const CHARS_MAX = 20_000;
/** Longer rows gain nothing by company. */
export const ROW_CHARS_MAX = 1_000;

interface List<T> {
  readonly rows: string[];
  readonly items: T[];
  chars: number;
}

export class Batches<T> {
  readonly #publish: (subject: string, rows: readonly string[], items: readonly T[]) => void;
  readonly #lists = new Map<string, List<T>>();
  #scheduled = false;

  /** `publish` gets each list once; it may not throw. */
  constructor(publish: (subject: string, rows: readonly string[], items: readonly T[]) => void) {
    this.#publish = publish;
  }

  add(subject: string, row: string, item: T): void {
    let list = this.#lists.get(subject);
    if (list === undefined) {
      list = { rows: [], items: [], chars: 0 };
      this.#lists.set(subject, list);
    }
    list.rows.push(row);
    list.items.push(item);
    list.chars += row.length;
    if (list.rows.length >= ROWS_MAX || list.chars >= CHARS_MAX) this.flush(subject);
    else if (!this.#scheduled) {
      this.#scheduled = true;
      // All who were answered by the same read of the socket have asked again by then.
      queueMicrotask(() => this.#flushAll());
    }
  }

  /** What waits for this subject leaves before anything that is published after this. */
  flush(subject: string): void {
    const list = this.#lists.get(subject);
    if (list === undefined) return;
    this.#lists.delete(subject);
    this.#publish(subject, list.rows, list.items);
  }

  #flushAll(): void {
    this.#scheduled = false;
    for (const subject of [...this.#lists.keys()]) this.flush(subject);
  }
}
