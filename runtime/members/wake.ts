/** Something changed: whoever waits looks again. */
import type { Clock } from '#runtime/shard/ports';

export class Wake {
  #next = Promise.withResolvers<void>();

  /** Resolves with the next `wake`. Take it before looking, or a change between looking and waiting is missed. */
  get changed(): Promise<void> {
    return this.#next.promise;
  }

  wake(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve();
  }
}

/** Until something changed, or a time came (ms since the epoch; infinity: never). */
export async function until(clock: Clock, changed: Promise<void>, at: number): Promise<void> {
  if (at === Number.POSITIVE_INFINITY) {
    await changed;
    return;
  }
  let timer: unknown;
  const time = new Promise<void>((resolve) => {
    timer = clock.setTimer(resolve, Math.max(0, at - clock.now()));
  });
  await Promise.race([changed, time]);
  clock.clearTimer(timer);
}
