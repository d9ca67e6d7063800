/** The figures in docs/performance.md, between two marks. */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Row, rounded } from './row.ts';

const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
/** Where the page holds which figures. */
const MARKS = {
  kernel: ['<!-- figures -->', '<!-- /figures -->'],
  witness: ['<!-- witness -->', '<!-- /witness -->'],
} as const;
const GIB = 2 ** 30;
const COLUMNS = ['opsPerSec', 'p50Ms', 'p99Ms', 'limitOpsPerSec', 'ratio'];
/** One busy core more than this, and the figures are of something else too. */
const QUIET_LOAD_MAX = 0.7;

export interface Conditions {
  readonly machine: string;
  /** One-minute load average before the first case. */
  readonly load: number;
  readonly startedAt: Date;
  readonly command: string;
}

export function conditionsNow(command: string): Conditions {
  const processor = cpus()[0]?.model ?? 'unknown processor';
  const memory = `${rounded(totalmem() / GIB, 0)} GiB`;
  const system = `${type()} ${release()}, Node ${process.versions.node}`;
  const machine = `${availableParallelism()} cores (${processor}), ${memory}, ${system}`;
  return { machine, load: rounded(loadavg()[0] ?? 0, 2), startedAt: new Date(), command };
}

/** Replaces the figures of the page. Throws where the page has lost its marks. */
export function writePage(which: keyof typeof MARKS, rows: readonly Row[], conditions: Conditions): void {
  const [first, last] = MARKS[which];
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [page.indexOf(first), page.indexOf(last)];
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has no ${first} … ${last}`);
  const text = markdownOf(rows, conditions);
  writeFileSync(PAGE, `${page.slice(0, begin + first.length)}\n${text}\n${page.slice(end)}`);
}

function markdownOf(rows: readonly Row[], { machine, load, startedAt, command }: Conditions): string {
  const quiet =
    load <= QUIET_LOAD_MAX
      ? `The machine was otherwise quiet (load ${load}).`
      : `**The machine was doing other work (load ${load}): read these as a lower bound.**`;
  return [
    `${startedAt.toISOString().slice(0, 10)}, \`${command}\`, client, node and server together on ${machine}. ${quiet}`,
    '',
    '| case | ops/s | p50 ms | p99 ms | limit ops/s | ratio | further |',
    '|---|---|---|---|---|---|---|',
    ...rows.map(
      (row) => `| ${[row.bench, ...COLUMNS.map((name) => cell(row[name])), further(row)].join(' | ')} |`,
    ),
  ].join('\n');
}

function further(row: Row): string {
  return Object.entries(row)
    .filter(([name, value]) => name !== 'bench' && !COLUMNS.includes(name) && value !== null)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

function cell(value: string | number | null | undefined): string {
  if (typeof value === 'number')
    return value >= 1_000 ? Math.round(value).toLocaleString('en') : String(value);
  return value ?? '';
}
