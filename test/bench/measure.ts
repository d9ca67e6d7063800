/** Closed-loop measuring: each caller starts its next operation when the last one has ended. */

export interface Load {
  readonly callers: number;
  readonly durationMs: number;
  /** Operation `n` of caller `caller`. */
  readonly operation: (caller: number, n: number) => Promise<unknown>;
}

export interface Sample {
  readonly ops: number;
  readonly elapsedMs: number;
  /** Sorted, ms. */
  readonly latencies: Float64Array;
}

/** Runs a load to its end. Rejects with the first failed operation. */
export async function closedLoop({ callers, durationMs, operation }: Load): Promise<Sample> {
  const times: number[] = [];
  const began = performance.now();
  const end = began + durationMs;
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let n = 0; performance.now() < end; n++) {
        const start = performance.now();
        await operation(caller, n);
        times.push(performance.now() - start);
      }
    }),
  );
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

/** Several rounds as one. */
export function merge(samples: readonly Sample[]): Sample {
  const latencies = new Float64Array(samples.reduce((n, s) => n + s.latencies.length, 0));
  let at = 0;
  for (const sample of samples) {
    latencies.set(sample.latencies, at);
    at += sample.latencies.length;
  }
  return {
    ops: samples.reduce((n, s) => n + s.ops, 0),
    elapsedMs: samples.reduce((ms, s) => ms + s.elapsedMs, 0),
    latencies: latencies.sort(),
  };
}

export interface Figures {
  readonly opsPerSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function figures(sample: Sample): Figures {
  return {
    opsPerSec: Math.round((sample.ops * 1000) / sample.elapsedMs),
    p50Ms: Number(quantile(sample.latencies, 0.5).toFixed(3)),
    p99Ms: Number(quantile(sample.latencies, 0.99).toFixed(3)),
  };
}
