/**
 * Signed messages of one sender to one actor go out one after the other: an actor takes only numbers above the last, so
 * the first attempt of a later one would make every further attempt of an earlier one a replay.
 *
 * T1  A message goes out when all before it to any of its receivers are through: answered, refused or given up.
 * T2  One that is given up while it waits lets nobody behind it overtake those before it.
 * T3  Messages without a receiver in common do not wait for each other.
 */
import { FabricError } from '#schemas/fabric-error';
import { clientErrors } from './errors.ts';

export interface Turn {
  /** Throws `ask_timeout` or `ask_aborted` where it does not come in time. */
  come(timeoutMs: number, signal: AbortSignal | undefined): Promise<void>;
  /** Has to be called once: those behind wait for it. */
  leave(): void;
}

export class Turns {
  /** Settles when the last message of a lane, and so all before it, are through. */
  readonly #last = new Map<string, Promise<void>>();
  #size = 0;

  /** Messages that wait or are under way. */
  get size(): number {
    return this.#size;
  }

  /** Queues up in all of these lanes at once. */
  enter(lanes: readonly string[]): Turn {
    const before = lanes.flatMap((lane) => this.#last.get(lane) ?? []);
    const ahead = before.length === 0 ? undefined : Promise.all(before);
    const left = Promise.withResolvers<void>();
    for (const lane of lanes) this.#append(lane, left.promise);
    this.#size += 1;
    return {
      come: (timeoutMs, signal) => inTime(ahead, timeoutMs, signal),
      leave: () => {
        this.#size -= 1;
        left.resolve();
      },
    };
  }

  /** T2: through is who has left, and all before it. */
  #append(lane: string, left: Promise<void>): void {
    const through: Promise<void> = Promise.all([this.#last.get(lane), left]).then(() => {
      if (this.#last.get(lane) === through) this.#last.delete(lane);
    });
    this.#last.set(lane, through);
  }
}

async function inTime(
  ahead: Promise<unknown> | undefined,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (ahead === undefined) return;
  const enough = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const message = `Messages before it to the same actor took longer than ${timeoutMs} ms: it was not sent`;
    enough.reject(new FabricError(clientErrors.ask_timeout, message));
  }, timeoutMs);
  const abort = (): void => {
    const message = 'The caller gave up before it was sent';
    enough.reject(new FabricError(clientErrors.ask_aborted, message, { cause: signal?.reason }));
  };
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  try {
    await Promise.race([ahead, enough.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
