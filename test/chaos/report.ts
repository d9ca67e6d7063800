/** The picture of a run: latencies of answered asks over time, with the faults above them. One HTML file, no script. */
import type { Fault } from './faults.ts';
import type { Operation } from './history.ts';
import type { ChaosResult } from './run.ts';

const WIDTH = 1_400;
const LATENCY_HEIGHT = 360;
const LANE_HEIGHT = 18;
const LEFT = 90;
const TOP = 20;
/** Of the latency axis, ms, by powers of ten. */
const MS_MIN = 0.1;
const MS_MAX = 100_000;
/** A column of the picture. */
const COLUMNS = 600;

export interface Circumstances {
  readonly seed: number;
  readonly servers: number;
  readonly nodes: number;
  readonly command: string;
}

export interface Summary {
  readonly operations: number;
  readonly unknown: number;
  readonly faults: number;
  readonly violations: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

export function summaryOf({ history, faults, violations, from, to }: ChaosResult): Summary {
  const sorted = asked(history)
    .map(latency)
    .sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10) / 10;
  return {
    operations: history.length,
    unknown: history.filter(({ op }) => op === 'unknown').length,
    faults: faults.length,
    violations: violations.length,
    seconds: Math.round((to - from) / 1_000),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    p999Ms: at(0.999),
    maxMs: at(1),
  };
}

export function reportHtml(result: ChaosResult, about: Circumstances): string {
  const summary = summaryOf(result);
  const rows = Object.entries(summary).map(([name, value]) => `<tr><th>${name}</th><td>${value}</td></tr>`);
  const counts = [...Map.groupBy(result.history, ({ op }) => op)]
    .map(([op, all]) => `${all.length} ${op}`)
    .join(', ');
  const verdict =
    result.violations.length === 0
      ? '<p class="good">No violation.</p>'
      : `<ul class="bad">${result.violations.map((one) => `<li>${escaped(one)}</li>`).join('')}</ul>`;
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Chaos run, seed ${about.seed}</title>
<style>
body{font:14px system-ui,sans-serif;margin:24px;color:#222;background:#fff}
table{border-collapse:collapse}th{text-align:left;padding:2px 16px 2px 0;font-weight:normal;color:#555}
.good{color:#176b2c}.bad{color:#a11}svg{max-width:100%;height:auto}code{background:#f3f3f3;padding:1px 4px}
</style>
<h1>Chaos run</h1>
<p>${about.servers} NATS servers, ${about.nodes} nodes, 2 clients, all processes on one machine; seed ${about.seed}.
<code>${escaped(about.command)}</code></p>
${verdict}
<table>${rows.join('')}</table>
<p>${escaped(counts)}</p>
<p>Above: faults, from their begin until they were mended. Below: how long answered operations took, the median (dark) and the
slowest (light) of each moment, by when they were asked; ms, logarithmic.</p>
${picture(result)}
</html>
`;
}

function picture({ history, faults, from, to }: ChaosResult): string {
  const lanes = [...new Set(faults.map(({ target }) => target))].sort();
  const top = TOP + lanes.length * LANE_HEIGHT + 20;
  const x = (ms: number): number => LEFT + ((ms - from) / (to - from)) * (WIDTH - LEFT - 10);
  const y = (ms: number): number => {
    const share = Math.log10(Math.max(ms, MS_MIN) / MS_MIN) / Math.log10(MS_MAX / MS_MIN);
    return top + LATENCY_HEIGHT * (1 - Math.min(share, 1));
  };
  const parts: string[] = [];
  for (const [n, lane] of lanes.entries()) {
    const laneY = TOP + n * LANE_HEIGHT;
    parts.push(`<text x="4" y="${laneY + 12}" font-size="12">${escaped(lane)}</text>`);
    for (const fault of faults.filter(({ target }) => target === lane)) parts.push(bar(fault, laneY, x));
  }
  for (let ms = MS_MIN; ms <= MS_MAX; ms *= 10) {
    const gridY = y(ms).toFixed(1);
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH}" y1="${gridY}" y2="${gridY}" stroke="#ddd"/><text x="4" y="${gridY}" font-size="12">${ms >= 1_000 ? `${ms / 1_000} s` : `${Number(ms.toPrecision(1))} ms`}</text>`,
    );
  }
  parts.push(...columns(history, from, to, x, y));
  const height = top + LATENCY_HEIGHT + 30;
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="faults and latencies over time">${parts.join('')}</svg>`;
}

function bar({ kind, target, from, to }: Fault, laneY: number, x: (ms: number) => number): string {
  const width = Math.max(2, x(to) - x(from));
  const colour = kind.startsWith('server') ? '#b5462f' : kind.startsWith('client') ? '#777' : '#d9a441';
  const title = `${kind} ${target}, ${to - from} ms`;
  return `<rect x="${x(from).toFixed(1)}" y="${laneY}" width="${width.toFixed(1)}" height="${LANE_HEIGHT - 4}" fill="${colour}"><title>${escaped(title)}</title></rect>`;
}

function columns(
  history: readonly Operation[],
  from: number,
  to: number,
  x: (ms: number) => number,
  y: (ms: number) => number,
): string[] {
  const stepMs = Math.max(1, (to - from) / COLUMNS);
  const parts: string[] = [];
  for (const [n, all] of Map.groupBy(asked(history), (one) => Math.floor((one.from - from) / stepMs))) {
    const sorted = all.map(latency).sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
    const slowest = sorted.at(-1) ?? 0;
    const at = x(from + n * stepMs).toFixed(1);
    parts.push(
      `<line x1="${at}" x2="${at}" y1="${y(median).toFixed(1)}" y2="${y(slowest).toFixed(1)}" stroke="#9bbad6"/>`,
      `<circle cx="${at}" cy="${y(median).toFixed(1)}" r="1.5" fill="#1f4e79"/>`,
    );
  }
  return parts;
}

function asked(history: readonly Operation[]): Operation[] {
  return history.filter(({ op }) => op !== 'unknown' && op !== 'lease');
}

function latency({ from, to }: Operation): number {
  return to - from;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
