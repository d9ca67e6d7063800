/** Durable asks: the limit and the kernel in turn, round by round, so that the machine's moods meet both. */
import { closedLoop, type Figures, figures, merge, type Sample } from './measure.ts';
import type { Subject } from './subject.ts';

export interface AskCase {
  readonly bench: string;
  readonly callers: number;
  readonly actors: number;
}

export interface Row extends Figures {
  readonly bench: string;
  readonly limitOpsPerSec?: number;
  /** Of the limit's throughput; of its p50 at one caller see `p50Ratio`. */
  readonly ratio?: number;
  readonly p50Ratio?: number;
}

export function askCases(durability: string): AskCase[] {
  const cases: AskCase[] = [];
  for (const actors of [100, 100_000]) {
    for (const callers of [1, 64, 512]) {
      cases.push({ bench: `ask ${durability}, ${callers} callers, ${actors} actors`, callers, actors });
    }
  }
  return cases;
}

export interface Rounds {
  readonly rounds: number;
  readonly roundMs: number;
}

const WARM_UP_MS = 500;

/** One case over several rounds; without a kernel the limit alone. */
export async function measureAsks(
  limit: Subject,
  kernel: Subject | undefined,
  { bench, callers, actors }: AskCase,
  { rounds, roundMs }: Rounds,
): Promise<Row> {
  const round = (subject: Subject, durationMs: number): Promise<Sample> =>
    closedLoop({
      callers,
      durationMs,
      operation: (caller, n) => subject.ask(`k${(caller * 7919 + n) % actors}`),
    });
  const samples = { limit: [] as Sample[], kernel: [] as Sample[] };
  await round(limit, WARM_UP_MS);
  if (kernel !== undefined) await round(kernel, WARM_UP_MS);
  for (let i = 0; i < rounds; i++) {
    samples.limit.push(await round(limit, roundMs));
    if (kernel !== undefined) samples.kernel.push(await round(kernel, roundMs));
  }
  const bound = figures(merge(samples.limit));
  if (kernel === undefined) return { bench: `limit: ${bench}`, ...bound };
  const own = figures(merge(samples.kernel));
  return {
    bench,
    ...own,
    limitOpsPerSec: bound.opsPerSec,
    ratio: Number((own.opsPerSec / bound.opsPerSec).toFixed(2)),
    p50Ratio: Number((own.p50Ms / bound.p50Ms).toFixed(2)),
  };
}
