/** Closed-loop measuring: each caller starts its next operation when the last one has ended. */

export interface Load {
  readonly callers: number;
  /** Operation `n` of the whole load, for caller `caller`. */
  readonly operation: (n: number, caller: number) => Promise<unknown>;
  /** The load ends after this time, or after `count` operations. */
  readonly durationMs?: number;
  readonly count?: number;
}

export interface Sample {
  readonly ops: number;
  readonly elapsedMs: number;
  /** Sorted, ms. */
  readonly latencies: Float64Array;
}

/** Runs a load to its end. Rejects with a failed operation, once the others under way have ended. */
export async function closedLoop(load: Load): Promise<Sample> {
  const {
    callers,
    operation,
    durationMs = Number.POSITIVE_INFINITY,
    count = Number.POSITIVE_INFINITY,
  } = load;
  const times: number[] = [];
  const began = performance.now();
  const end = began + durationMs;
  let next = 0;
  let failed = false;
  const ends = await Promise.allSettled(
    Array.from({ length: callers }, async (_, caller) => {
      while (!failed && performance.now() < end && next < count) {
        const start = performance.now();
        try {
          await operation(next++, caller);
        } catch (thrown) {
          failed = true;
          throw thrown;
        }
        times.push(performance.now() - start);
      }
    }),
  );
  for (const ended of ends) if (ended.status === 'rejected') throw ended.reason;
  return {
    ops: times.length,
    elapsedMs: performance.now() - began,
    latencies: Float64Array.from(times).sort(),
  };
}

/** Nearest rank; NaN for no samples. */
export function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export interface Figures {
  readonly opsPerSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function figures({ ops, elapsedMs, latencies }: Sample): Figures {
  return {
    opsPerSec: Math.round((ops * 1000) / elapsedMs),
    p50Ms: Number(quantile(latencies, 0.5).toFixed(3)),
    p99Ms: Number(quantile(latencies, 0.99).toFixed(3)),
  };
}
