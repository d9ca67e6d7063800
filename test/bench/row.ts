/** One line of the result. */
import Table from 'cli-table3';

/** Null where a figure has no meaning for the case. Further fields carry their unit in the name. */
export interface Row {
  readonly bench: string;
  readonly opsPerSec: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly limitOpsPerSec: number | null;
  /** Of the limit's throughput, measured pair by pair. */
  readonly ratio: number | null;
  readonly [further: string]: string | number | null;
}

/** A row with only what is given. */
export function row(bench: string, figures: Readonly<Record<string, number | null>>): Row {
  return { bench, opsPerSec: null, p50Ms: null, p99Ms: null, limitOpsPerSec: null, ratio: null, ...figures };
}

const COLUMNS = ['bench', 'opsPerSec', 'p50Ms', 'p99Ms', 'limitOpsPerSec', 'ratio'];

/** For people. */
export function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: ['case', 'ops/s', 'p50 ms', 'p99 ms', 'limit ops/s', 'ratio', 'further'],
    style: { head: [] },
  });
  for (const one of rows) {
    const further = Object.entries(one).filter(([name, value]) => !COLUMNS.includes(name) && value !== null);
    table.push([...COLUMNS.map((name) => one[name] ?? ''), further.map(([n, v]) => `${n} ${v}`).join('\n')]);
  }
  return table.toString();
}

export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  const high = sorted[Math.ceil((sorted.length - 1) / 2)] ?? Number.NaN;
  return (low + high) / 2;
}
