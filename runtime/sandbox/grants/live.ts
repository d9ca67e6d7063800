/** The grant of a run under way: what was used of it, and whether it still counts. */
import type { HostCall } from '#runtime/sandbox/jail/types';
import type { Clock } from '#runtime/shard/ports';
import type { Grant } from '#schemas/grant';
import { checkCall, NOTHING_USED, type Used, type Verdict } from './check.ts';

export class LiveGrant {
  readonly #grant: Grant;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #startedAt: number;
  #used: Used = NOTHING_USED;
  #isRevoked: boolean;

  /** Its time begins now. */
  constructor(grant: Grant, clock: Pick<Clock, 'now'>, isRevoked = false) {
    this.#grant = grant;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#isRevoked = isRevoked;
  }

  /** For good: what is asked from now on is refused. */
  revoke(): void {
    this.#isRevoked = true;
  }

  /** Whether a call may be made; it counts in any case. */
  check(call: HostCall): Verdict {
    const ageMs = this.#clock.now() - this.#startedAt;
    const verdict = checkCall(
      { grant: this.#grant, used: this.#used, ageMs, isRevoked: this.#isRevoked },
      call,
    );
    this.#used = verdict.used;
    return verdict;
  }
}
