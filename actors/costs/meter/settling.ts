/** What has to be done in the end is tried until it is, or until there is no more sense in it. */
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';

const AGAIN_MS = [500, 2_000, 5_000, 10_000, 30_000];

export class Settling {
  readonly #failed: (id: string, error: WireError, willTry: boolean) => void;
  readonly #underWay = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(failed: (id: string, error: WireError, willTry: boolean) => void) {
    this.#failed = failed;
  }

  /** Returns at once. `over` is called once it is done, or refused for good; not where it is left undone at the close. */
  settle(id: string, work: () => Promise<void>, over: () => void = () => undefined): void {
    const settling = this.#untilDone(id, work).then((isOver) => {
      this.#underWay.delete(settling);
      if (isOver) over();
    });
    this.#underWay.add(settling);
  }

  /** Once all is done, or what is left was tried once more. What is settled from now on is tried once. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#underWay);
  }

  async #untilDone(id: string, work: () => Promise<void>): Promise<boolean> {
    const { signal } = this.#closing;
    for (let attempt = 0; ; attempt += 1) {
      const isLast = signal.aborted;
      try {
        await work();
        return true;
      } catch (thrown) {
        const isFinal = thrown instanceof FabricError && !thrown.retryable && thrown.code !== 'ask_timeout';
        this.#failed(id, toWireError(thrown), !isFinal && !isLast);
        if (isFinal || isLast) return isFinal;
        await rest(AGAIN_MS[Math.min(attempt, AGAIN_MS.length - 1)] ?? 0, signal);
      }
    }
  }
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}
