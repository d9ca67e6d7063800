/** When a failed effect is tried again: pure arithmetic. */
import type { RetryPolicy } from '#schemas/commit';

export const RETRY_DEFAULT: RetryPolicy = {
  attempts: 5,
  firstDelayMs: 200,
  maxDelayMs: 30_000,
  factor: 2,
  jitter: 0.2,
};

/** Past this a retry policy is a mistake, and a timer would overflow. */
const DELAY_MS_MAX = 86_400_000;
const ATTEMPTS_MAX = 1_000;
const FACTOR_MAX = 100;

/** The first that sets a field wins; values out of range are brought into it. */
export function retryPolicy(...layers: readonly (Partial<RetryPolicy> | undefined)[]): RetryPolicy {
  const pick = (field: keyof RetryPolicy, min: number, max: number): number => {
    for (const layer of layers) {
      const value = layer?.[field];
      if (typeof value === 'number' && !Number.isNaN(value)) return Math.min(max, Math.max(min, value));
    }
    return RETRY_DEFAULT[field];
  };
  return {
    attempts: Math.floor(pick('attempts', 1, ATTEMPTS_MAX)),
    firstDelayMs: pick('firstDelayMs', 0, DELAY_MS_MAX),
    maxDelayMs: pick('maxDelayMs', 0, DELAY_MS_MAX),
    factor: pick('factor', 1, FACTOR_MAX),
    jitter: pick('jitter', 0, 1),
  };
}

/**
 * Pause after failed attempt `attempt` (from 1), ms: exponential, never above `maxDelayMs`, and shortened by at most
 * the share `jitter`. `random` is uniform in [0, 1).
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, random: number): number {
  const whole = Math.min(
    policy.maxDelayMs,
    policy.firstDelayMs * policy.factor ** Math.min(attempt - 1, 100),
  );
  return Math.round(whole * (1 - policy.jitter * random));
}
