/**
 * Starts of processes, so many at a time: a start takes a tenth of a second of a processor, and whoever makes many fail could
 * order as many. The rest wait in turn.
 */
export class Starts {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** What `start` gives, once it is its turn. */
  async run<T>(start: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await start();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next(); // it has the place of this one
    }
  }
}
