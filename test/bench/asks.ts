/**
 * Durable asks: the limit and the kernel in turn, round by round, so that the machine's moods meet both. Figures are
 * medians of the rounds; ratios are taken pair by pair.
 */
import { kernelSubject } from './kernel.ts';
import { limitSubject } from './limit/limit.ts';
import { closedLoop, type Figures, figures } from './measure.ts';
import type { Durability } from './realm.ts';
import { median, type Row, rounded, row } from './row.ts';
import type { Subject } from './subject.ts';
import type { Suite } from './suite.ts';

const WARM_UP_MS = 1_000;

interface AskCase {
  readonly bench: string;
  readonly durability: Durability;
  readonly callers: number;
  readonly actors: number;
  /** False: the client sends a message for each ask. */
  readonly batching: boolean;
}

const DURABILITIES = ['strict', 'relaxed'] as const;

const cases: readonly AskCase[] = [
  ...DURABILITIES.flatMap((durability) =>
    [100, 100_000].flatMap((actors) =>
      [1, 64, 512].map((callers) => ({
        bench: `ask ${durability}, ${callers} callers, ${actors} actors`,
        durability,
        callers,
        actors,
        batching: true,
      })),
    ),
  ),
  ...DURABILITIES.flatMap((durability) =>
    [64, 512].map((callers) => ({
      bench: `ask ${durability} without batching, ${callers} callers, 100 actors`,
      durability,
      callers,
      actors: 100,
      batching: false,
    })),
  ),
];

export const asks: Suite = {
  benches: cases.map(({ bench }) => bench),
  async *run(wanted, { rounds, roundMs, limitOnly, profileDir }) {
    for (const batching of [true, false]) {
      for (const durability of DURABILITIES) {
        const isOurs = (one: AskCase) => one.durability === durability && one.batching === batching;
        const chosen = cases.filter((one) => isOurs(one) && wanted(one.bench));
        if (chosen.length === 0) continue;
        await using limit = await limitSubject(durability === 'strict', profileDir);
        await using kernel = limitOnly ? undefined : await kernelSubject(durability, batching, profileDir);
        for (const one of chosen) yield await measure(one, limit, kernel, rounds, roundMs);
      }
    }
  },
};

interface Round extends Figures {
  readonly cpuUsPerAsk: number;
  /** NaN off Linux. */
  readonly serverCpuUsPerAsk: number;
  readonly clientCpuUsPerAsk: number;
}

async function measure(
  one: AskCase,
  limit: Subject,
  kernel: Subject | undefined,
  rounds: number,
  roundMs: number,
): Promise<Row> {
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
  if (kernel === undefined) return row(`limit: ${one.bench}`, { ...bound });
  const ratioOf = (key: 'opsPerSec' | 'p50Ms') =>
    rounded(median(owns.map((own, i) => own[key] / (bounds[i]?.[key] ?? Number.NaN))), 2);
  return row(one.bench, {
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

async function round(subject: Subject, { callers, actors }: AskCase, durationMs: number): Promise<Round> {
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
