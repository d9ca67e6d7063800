/**
 * One fenced append, brought to a clear end.
 *
 * F1  `appended` only when our very bytes are stored at the returned sequence.
 * F2  `fenced` only when the subject's last message is neither the expected one nor ours.
 * F3  An unclear answer is settled by reading the last message at the stream's leader; never by hoping.
 */
import type { WireError } from '#schemas/fabric-error';
import { toWireError } from '#schemas/fabric-error';
import { equalBytes } from './commit.ts';
import type { Clock, Logger, ShardLog, StoredCommit } from './ports.ts';

const RETRY_FIRST_MS = 20;
/** Asks wait for the leader that a cluster chooses: not much longer than it takes. */
const RETRY_MAX_MS = 200;

export type AppendOutcome =
  | { readonly kind: 'appended'; readonly seq: number }
  | { readonly kind: 'fenced' }
  /** `close` was called before the end was clear. */
  | { readonly kind: 'abandoned' }
  | { readonly kind: 'refused'; readonly error: WireError };

export class Appender {
  readonly #log: ShardLog;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  #wake: () => void = () => {};

  constructor(log: ShardLog, clock: Clock, logger: Logger) {
    this.#log = log;
    this.#clock = clock;
    this.#logger = logger;
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Lets an append under way end as `abandoned` where its end is not clear yet. */
  close(): void {
    this.#closing.abort();
    this.#wake();
  }

  /** Appends after `expectedSeq`. Takes as long as the server is away, or until `close`. */
  async append(bytes: Uint8Array, expectedSeq: number): Promise<AppendOutcome> {
    for (let attempt = 0; ; attempt++) {
      const result = await this.#log.append(bytes, expectedSeq);
      // F3: after an unclear attempt a refusal says nothing of that one.
      if (result.kind === 'appended' || (result.kind === 'refused' && attempt === 0)) return result;
      const last = await this.#head();
      if (last === 'abandoned') return { kind: 'abandoned' };
      if (last !== undefined && last.seq !== expectedSeq) {
        return equalBytes(last.bytes, bytes) ? { kind: 'appended', seq: last.seq } : { kind: 'fenced' };
      }
      if (last === undefined && expectedSeq !== 0) return { kind: 'fenced' };
      if (result.kind === 'refused') return result;
      this.#logger.warn(
        { attempt, why: result.kind === 'unclear' ? result.reason : result.kind },
        'append_retry',
      );
      await this.#pause(attempt);
      if (this.#isClosed) return { kind: 'abandoned' };
    }
  }

  /** The last commit, asked for until the leader answers. */
  async #head(): Promise<StoredCommit | undefined | 'abandoned'> {
    for (let attempt = 0; ; attempt++) {
      if (this.#isClosed && attempt > 0) return 'abandoned';
      try {
        return await this.#log.head(this.#closing.signal);
      } catch (thrown) {
        this.#logger.warn({ attempt, error: toWireError(thrown) }, 'head_unreadable');
        await this.#pause(attempt);
      }
    }
  }

  #pause(attempt: number): Promise<void> {
    const delayMs = Math.min(RETRY_FIRST_MS * 2 ** attempt, RETRY_MAX_MS);
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(resolve, delayMs);
      this.#wake = () => {
        this.#clock.clearTimer(timer);
        resolve();
      };
    });
  }
}
