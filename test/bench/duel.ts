/**
 * The limit and the kernel in turn, round by round, so that the machine's moods meet both. Figures are medians of the
 * rounds; ratios are taken pair by pair.
 */
import { closedLoop, type Figures, figures } from './measure.ts';
import { median, type Row, rounded, row } from './row.ts';
import type { Subject } from './subject.ts';

const WARM_UP_MS = 1_000;

export interface Duel {
  readonly bench: string;
  readonly callers: number;
  readonly actors: number;
  readonly limit: Subject;
  /** Absent: the limit alone. */
  readonly kernel: Subject | undefined;
  readonly rounds: number;
  readonly roundMs: number;
}

interface Round extends Figures {
  readonly cpuUsPerAsk: number;
  /** NaN off Linux. */
  readonly serverCpuUsPerAsk: number;
  readonly clientCpuUsPerAsk: number;
}

/** `inc` of the actors by so many callers. */
export async function duel(one: Duel): Promise<Row> {
  const { bench, limit, kernel, rounds, roundMs } = one;
  const bounds: Round[] = [];
  const owns: Round[] = [];
  for (const subject of [limit, kernel]) {
    if (subject !== undefined) await round(subject, one, Math.min(WARM_UP_MS, roundMs));
  }
  for (let i = 0; i < rounds; i++) {
    // Each goes first in every other round.
    const order = i % 2 === 0 ? [limit, kernel] : [kernel, limit];
    for (const subject of order) {
      if (subject !== undefined) (subject === limit ? bounds : owns).push(await round(subject, one, roundMs));
    }
  }
  const bound = medians(bounds);
  if (kernel === undefined) return row(`limit: ${bench}`, { ...bound });
  const ratioOf = (key: 'opsPerSec' | 'p50Ms') =>
    rounded(median(owns.map((own, i) => own[key] / (bounds[i]?.[key] ?? Number.NaN))), 2);
  return row(bench, {
    ...medians(owns),
    limitOpsPerSec: bound.opsPerSec,
    ratio: ratioOf('opsPerSec'),
    p50Ratio: ratioOf('p50Ms'),
    limitP50Ms: bound.p50Ms,
    limitP99Ms: bound.p99Ms,
    limitCpuUsPerAsk: bound.cpuUsPerAsk,
    limitServerCpuUsPerAsk: bound.serverCpuUsPerAsk,
    limitClientCpuUsPerAsk: bound.clientCpuUsPerAsk,
  });
}

async function round(subject: Subject, { callers, actors }: Duel, durationMs: number): Promise<Round> {
  const before = await subject.cpu();
  const clientBefore = process.cpuUsage();
  const sample = await closedLoop({
    callers,
    durationMs,
    operation: (n, caller) => subject.ask(`k${(caller * 7_919 + n) % actors}`),
  });
  const client = process.cpuUsage(clientBefore);
  const after = await subject.cpu();
  const perAsk = (us: number) => rounded(us / sample.ops, 1);
  return {
    ...figures(sample),
    cpuUsPerAsk: perAsk(after.loopUs - before.loopUs),
    serverCpuUsPerAsk: perAsk((after.serverUs ?? Number.NaN) - (before.serverUs ?? Number.NaN)),
    clientCpuUsPerAsk: perAsk(client.user + client.system),
  };
}

function medians(rounds: readonly Round[]): Round {
  const of = (key: keyof Round) => rounded(median(rounds.map((r) => r[key])), 3);
  return {
    opsPerSec: of('opsPerSec'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    cpuUsPerAsk: of('cpuUsPerAsk'),
    serverCpuUsPerAsk: of('serverCpuUsPerAsk'),
    clientCpuUsPerAsk: of('clientCpuUsPerAsk'),
  };
}
