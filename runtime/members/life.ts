/** A node that comes and crashes again and again takes no shards for a while: each move costs who asks a wait. */

/** What a node's last life left behind. */
export interface LastLife {
  /** Crashes in a row before it, and its own where it did not end cleanly. */
  readonly crashes: number;
  /** It was stopped, not killed. */
  readonly isClean: boolean;
  /** When it began, ms since the epoch. */
  readonly startedAt: number;
}

export interface NextLife {
  readonly crashes: number;
  /** How long the node waits before it takes shards. */
  readonly waitMs: number;
}

/** One crash may happen to anybody. */
const CRASHES_FORGIVEN = 1;
const WAIT_FIRST_MS = 5_000;
const WAIT_MAX_MS = 300_000;
/** A life this long was no flapping. */
const FORGET_AFTER_MS = 600_000;

/** What a node begins with, given how its last life ended. */
export function nextLife(last: LastLife | undefined, now: number): NextLife {
  if (last === undefined || last.isClean || now - last.startedAt >= FORGET_AFTER_MS) {
    return { crashes: 0, waitMs: 0 };
  }
  const crashes = last.crashes + 1;
  const doublings = crashes - CRASHES_FORGIVEN - 1;
  return { crashes, waitMs: doublings < 0 ? 0 : Math.min(WAIT_FIRST_MS * 2 ** doublings, WAIT_MAX_MS) };
}
