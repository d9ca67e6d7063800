/**
 * Tells of breaks in the log.
 *
 * A1  A break is told of at once: on the log line and on `<prefix>.ev.witness.realm.break`, whatever else is out of order.
 * A2  A break is told of once, over restarts and changes of owner: what was told stands in the witness bucket. (A crash
 *     between telling and storing tells it once more; the HIGH entry is still one, for the actor knows its ids.)
 * A3  Every break becomes a HIGH entry, as soon as the shard of `witness/realm` takes one: raising is tried again until
 *     then. The shard may be the very one that the break has stopped. One that is refused as none holds up no other.
 * A4  A wiped log has millions: past {@link BREAKS_KEPT_MAX} a break is told of as an event and counted, once for each
 *     owner of the tree, and neither stored nor entered; past {@link BREAKS_TOLD_MAX} nothing is.
 */
import { nodeErrors } from '#runtime/node/errors';
import type { Logger } from '#runtime/shard/ports';
import { FabricError, toWireError } from '#schemas/fabric-error';
import type { LogBreak } from '#schemas/log-break';
import { witnessServiceErrors } from './errors.ts';
import type { KnownBreak, WitnessStore } from './state-store.ts';

/** A4 */
export const BREAKS_KEPT_MAX = 200;
export const BREAKS_TOLD_MAX = 10_000;
const SWAP_ATTEMPTS_MAX = 5;

export interface AlarmOptions {
  readonly store: WitnessStore;
  /** Publishes the live event. */
  readonly publish: (found: LogBreak) => void;
  /** Makes the HIGH entry; rejects where nobody takes it now. */
  readonly raise: (found: LogBreak) => Promise<void>;
  readonly now: () => number;
  readonly logger: Logger;
}

export class Alarm {
  readonly #options: AlarmOptions;
  readonly #known = new Map<string, KnownBreak>();
  /** Ids of what was told of past {@link BREAKS_KEPT_MAX}: each pass of a scrubber finds them again. */
  readonly #overflow = new Set<string>();
  /** Raises that failed since the last that did not. */
  #failures = 0;
  #stored = true;
  /** Something was told while a flush was under way. */
  #again = false;
  #flushing: Promise<void> | undefined;

  private constructor(options: AlarmOptions, known: readonly KnownBreak[]) {
    this.#options = options;
    for (const found of known) this.#known.set(found.id, found);
  }

  static async open(options: AlarmOptions): Promise<Alarm> {
    return new Alarm(options, (await options.store.breaks()).value);
  }

  /** Breaks known, the oldest first. */
  get breaks(): readonly KnownBreak[] {
    return [...this.#known.values()];
  }

  /** Breaks found in all, as far as {@link BREAKS_TOLD_MAX}. */
  get count(): number {
    return this.#known.size + this.#overflow.size;
  }

  /** A1, A2. Storing and raising go on behind; {@link flush} waits for them. */
  tell(found: LogBreak): void {
    if (this.#known.has(found.id) || this.#overflow.has(found.id)) return;
    if (this.#known.size >= BREAKS_KEPT_MAX) {
      this.#tellOnly(found);
      return;
    }
    this.#known.set(found.id, { ...found, foundAt: this.#options.now(), raised: false });
    this.#stored = false;
    this.#options.logger.error({ ...found }, 'log_break');
    this.#options.publish(found);
    void this.flush();
  }

  /** A4 */
  #tellOnly(found: LogBreak): void {
    const { logger, publish } = this.#options;
    if (this.count >= BREAKS_TOLD_MAX) return;
    if (this.#overflow.size === 0) logger.error({ kept: BREAKS_KEPT_MAX }, 'log_breaks_too_many');
    this.#overflow.add(found.id);
    publish(found);
  }

  /** Stores what is not stored and raises what is not raised (A3). Never rejects: what fails is tried with the next flush. */
  async flush(): Promise<void> {
    this.#again = true;
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#raiseAll();
      await this.#storeAll();
    }
  }

  async #raiseAll(): Promise<void> {
    let failure: unknown;
    for (const found of this.breaks) {
      if (found.raised) continue;
      const { foundAt: _, raised: __, ...plain } = found;
      try {
        await this.#options.raise(plain);
      } catch (thrown) {
        failure = thrown;
        if (isOfBreak(thrown)) continue;
        // Nobody takes any now.
        break;
      }
      this.#known.set(found.id, { ...found, raised: true });
      this.#stored = false;
    }
    this.#tellFailure(failure);
  }

  /** Raising is tried with each flush, about once a second while a shard is halted: told at its 1st, 2nd, 4th, 8th … failure. */
  #tellFailure(failure: unknown): void {
    this.#failures = failure === undefined ? 0 : this.#failures + 1;
    if (failure === undefined || !isPowerOfTwo(this.#failures)) return;
    const fields = { error: toWireError(failure), attempts: this.#failures };
    this.#options.logger.warn(fields, 'log_break_not_raised');
  }

  async #storeAll(): Promise<void> {
    if (this.#stored) return;
    // Before the swap: what is told meanwhile is not in it.
    this.#stored = true;
    try {
      await this.#store();
    } catch (thrown) {
      this.#stored = false;
      this.#options.logger.warn({ error: toWireError(thrown) }, 'log_breaks_not_stored');
    }
  }

  /** Joins what another owner stored meanwhile. */
  async #store(): Promise<void> {
    const { store } = this.#options;
    for (let attempt = 0; attempt < SWAP_ATTEMPTS_MAX; attempt += 1) {
      const { value, revision } = await store.breaks();
      for (const found of value) {
        const ours = this.#known.get(found.id);
        if (ours === undefined || found.raised) this.#known.set(found.id, found);
      }
      const breaks = this.breaks.slice(0, BREAKS_KEPT_MAX);
      if ((await store.swapBreaks(breaks, revision)) !== undefined) return;
    }
    throw new FabricError(
      witnessServiceErrors.witness_moved,
      'Another node writes the breaks at the same time',
    );
  }
}

/** Refused for what it is, not for how the shard is. */
function isOfBreak(thrown: unknown): boolean {
  return thrown instanceof FabricError && thrown.code === nodeErrors.api_bad_request.code;
}

function isPowerOfTwo(n: number): boolean {
  return (n & (n - 1)) === 0;
}
