/** The figures in docs/performance.md and docs/waste.md, between two marks. */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Row, rounded } from './row.ts';

const PAGE = 'performance.md';
const BESIDE_LIMIT = {
  opsPerSec: 'ops/s',
  p50Ms: 'p50 ms',
  p99Ms: 'p99 ms',
  limitOpsPerSec: 'limit ops/s',
  ratio: 'ratio',
} as const;
/** Of the pages, drawn by `failover`. */
export const PICTURE = fileURLToPath(new URL('../../docs/failover.svg', import.meta.url));
/** Where the page holds which figures, and what stands in columns of their own: field and heading. */
const SECTIONS = {
  kernel: { marks: ['<!-- figures -->', '<!-- /figures -->'], columns: BESIDE_LIMIT, picture: '' },
  witness: { marks: ['<!-- witness -->', '<!-- /witness -->'], columns: BESIDE_LIMIT, picture: '' },
  cluster: {
    marks: ['<!-- cluster -->', '<!-- /cluster -->'],
    columns: { ...BESIDE_LIMIT, p50Ratio: 'p50 ratio', shardsOnBusiest: 'shards of the busiest node' },
    picture: '',
  },
  coordinator: {
    marks: ['<!-- coordinator -->', '<!-- /coordinator -->'],
    columns: {
      opsPerSec: 'claimed/s',
      p50Ms: 'p50 ms',
      p99Ms: 'p99 ms',
      p50OfBare: 'p50 of bare',
      p99OfBare: 'p99 of bare',
      p50OfEtcd: 'p50 of etcd',
      p99OfEtcd: 'p99 of etcd',
    },
    picture: '',
  },
  governor: {
    marks: ['<!-- governor -->', '<!-- /governor -->'],
    columns: BESIDE_LIMIT,
    picture: '',
  },
  chassis: {
    marks: ['<!-- chassis -->', '<!-- /chassis -->'],
    columns: BESIDE_LIMIT,
    picture: '',
  },
  waste: {
    page: 'waste.md',
    /** Counted, not timed. */
    isCounted: true,
    marks: ['<!-- waste -->', '<!-- /waste -->'],
    columns: {
      wastePercent: 'waste %',
      wastePercentMin: 'least',
      wastePercentMax: 'most',
      failedPercent: 'failed %',
      mismatchedPercent: 'mismatched %',
      costPerCompleted: 'cost of a completed task',
      completedPercent: 'completed %',
      waitHoursP99: 'wait p99 h',
      workersUsed: 'workers used',
    },
    picture: '',
  },
  failover: {
    marks: ['<!-- failover -->', '<!-- /failover -->'],
    columns: {
      times: 'times',
      p50Ms: 'p50 ms before',
      gapMs: 'gap ms',
      gapMsMax: 'longest',
      leaderAwayMs: 'leader of the log away ms',
      afterLeaderMsMax: 'asks waited after its return, longest',
      barePublisherMs: 'bare publisher ms',
    },
    picture:
      '![Asks through a crash of a node, a crash of the stream leader, and its planned restart](failover.svg)',
  },
} as const;
const GIB = 2 ** 30;
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
export function writePage(which: keyof typeof SECTIONS, rows: readonly Row[], conditions: Conditions): void {
  const { marks, columns, picture, ...rest } = SECTIONS[which];
  const file = pagePath('page' in rest ? rest.page : PAGE);
  const [first, last] = marks;
  const page = readFileSync(file, 'utf8');
  const [begin, end] = [page.indexOf(first), page.indexOf(last)];
  if (begin < 0 || end < begin) throw new Error(`${file} has no ${first} … ${last}`);
  const note = 'isCounted' in rest ? countedNote(conditions) : timedNote(conditions);
  const table = markdownOf(rows, columns, note);
  const text = [table, ...(picture === '' ? [] : ['', picture])].join('\n');
  writeFileSync(file, `${page.slice(0, begin + first.length)}\n${text}\n${page.slice(end)}`);
}

function markdownOf(rows: readonly Row[], columns: Readonly<Record<string, string>>, note: string): string {
  const names = Object.keys(columns);
  return [
    note,
    '',
    `| ${['case', ...Object.values(columns), 'further'].join(' | ')} |`,
    `|${'---|'.repeat(names.length + 2)}`,
    ...rows.map(
      (row) => `| ${[row.bench, ...names.map((name) => cell(row[name])), further(row, names)].join(' | ')} |`,
    ),
  ].join('\n');
}

function timedNote({ machine, load, startedAt, command }: Conditions): string {
  const quiet =
    load <= QUIET_LOAD_MAX
      ? `The machine was otherwise quiet (load ${load}).`
      : `**The machine was doing other work (load ${load}): read these as a lower bound.**`;
  return `${dayOf(startedAt)}, \`${command}\`, client, node and server together on ${machine}. ${quiet}`;
}

function countedNote({ startedAt, command }: Conditions): string {
  return `${dayOf(startedAt)}, \`${command}\`. Counted, not timed: every machine gives the same.`;
}

function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10);
}

function pagePath(page: string): string {
  return fileURLToPath(new URL(`../../docs/${page}`, import.meta.url));
}

function further(row: Row, columns: readonly string[]): string {
  return Object.entries(row)
    .filter(([name, value]) => name !== 'bench' && !columns.includes(name) && value !== null)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

function cell(value: string | number | null | undefined): string {
  if (typeof value === 'number')
    return value >= 1_000 ? Math.round(value).toLocaleString('en') : String(value);
  return value ?? '';
}
