/**
 * What a run may say: lines, bytes of them, and host calls at a rate. Judged in the parent, on what came out of the
 * pipe.
 */
import type { ErrorKind } from '#schemas/fabric-error';
import type { TaskLimits } from '#schemas/sandbox';
import { LOG_LINE_BYTES } from './child/bounds.ts';
import { jailErrors } from './errors.ts';
import type { LogLine } from './types.ts';

const MS_PER_S = 1_000;
/** Of a run, its last: a line is more here than the bytes that it counts for. */
const LINES_MAX = 1_000;

/** Pure but for what it holds: the time is data. */
export class RunBudget {
  readonly #limits: TaskLimits;
  readonly #lines: LogLine[] = [];
  #logBytes = 0;
  #hostCalls = 0;
  /** Calls that may be made at once. */
  #tokens: number;
  #filledAt: number;

  constructor(limits: TaskLimits, nowMs: number) {
    this.#limits = limits;
    this.#tokens = limits.callBurst;
    this.#filledAt = nowMs;
  }

  get logs(): readonly LogLine[] {
    return this.#lines;
  }

  get hostCalls(): number {
    return this.#hostCalls;
  }

  /** What the line ended, if it was one too many. */
  log(line: LogLine, bytes: number): ErrorKind | undefined {
    this.#logBytes += bytes + LOG_LINE_BYTES;
    if (this.#logBytes > this.#limits.logBytes) return jailErrors.task_logs_exceeded;
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
    return undefined;
  }

  /** What the call ended, if it was one too many. */
  call(nowMs: number): ErrorKind | undefined {
    const { callBurst, callsPerSecond } = this.#limits;
    const gained = ((nowMs - this.#filledAt) * callsPerSecond) / MS_PER_S;
    this.#tokens = Math.min(callBurst, this.#tokens + gained);
    this.#filledAt = nowMs;
    this.#hostCalls += 1;
    if (this.#tokens < 1) return jailErrors.task_calls_exceeded;
    this.#tokens -= 1;
    return undefined;
  }
}
