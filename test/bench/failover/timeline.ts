/** The picture of a failover: what asks waited, by when they were asked, and from when to when nobody took a publish. */
import type { Asked } from './asking.ts';
import type { Silence } from './beat.ts';

export interface Panel {
  readonly title: string;
  /** When it happened. */
  readonly at: number;
  readonly asked: readonly Asked[];
  readonly leader: Silence;
  readonly bare: Silence;
}

export interface Span {
  readonly calmMs: number;
  readonly shownMs: number;
}

const WIDTH = 1_000;
const LEFT = 70;
const RIGHT = 20;
const HEAD_HEIGHT = 74;
const PLOT_HEIGHT = 150;
const PANEL_HEIGHT = HEAD_HEIGHT + PLOT_HEIGHT + 44;
/** Of the axis of latencies, by powers of ten. */
const MS_MIN = 0.1;
const MS_MAX = 10_000;
/** Asks of so long stand as one line from their median to their slowest. */
const COLUMN_MS = 50;
/** Shorter silences are the beat itself. */
const SILENCE_MS_MIN = 30;

type Scale = (value: number) => string;

export function timelineSvg(panels: readonly Panel[], span: Span): string {
  const height = panels.length * PANEL_HEIGHT + 10;
  const drawn = panels.map(
    (panel, n) => `<g transform="translate(0 ${n * PANEL_HEIGHT})">\n${panelSvg(panel, span)}\n</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#222">
<title>What asks waited through failovers</title>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${drawn.join('\n')}
</svg>
`;
}

function panelSvg(panel: Panel, { calmMs, shownMs }: Span): string {
  const x: Scale = (ms) => (LEFT + ((ms + calmMs) / (calmMs + shownMs)) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const y: Scale = (ms) => {
    const share = Math.log10(Math.max(ms, MS_MIN) / MS_MIN) / Math.log10(MS_MAX / MS_MIN);
    return (HEAD_HEIGHT + PLOT_HEIGHT * (1 - Math.min(share, 1))).toFixed(1);
  };
  return [
    `<text x="${LEFT}" y="20" font-size="15" font-weight="600">${panel.title}</text>`,
    bar('leader of the log away', panel.leader, 34, panel.at, x),
    bar('bare publisher waits', panel.bare, 52, panel.at, x),
    ...grid(calmMs, shownMs, x, y),
    `<line x1="${x(0)}" x2="${x(0)}" y1="${HEAD_HEIGHT - 46}" y2="${HEAD_HEIGHT + PLOT_HEIGHT}" stroke="#b5462f" stroke-dasharray="4 3"/>`,
    ...columns(panel, shownMs, x, y),
  ].join('\n');
}

function bar(label: string, { from, to }: Silence, top: number, at: number, x: Scale): string {
  const text = `<text x="${LEFT - 4}" y="${top + 10}" text-anchor="start" dx="8" fill="#666">${label}`;
  if (to - from < SILENCE_MS_MIN) return `${text}: not for ${SILENCE_MS_MIN} ms</text>`;
  const [left, right] = [x(from - at), x(to - at)];
  const width = (Number(right) - Number(left)).toFixed(1);
  return `<rect x="${left}" y="${top}" width="${width}" height="13" fill="#e3b7a9"/>${text} ${Math.round(to - from)} ms</text>`;
}

function grid(calmMs: number, shownMs: number, x: Scale, y: Scale): string[] {
  const lines: string[] = [];
  for (let ms = MS_MIN; ms <= MS_MAX; ms *= 10) {
    const label = ms >= 1_000 ? `${ms / 1_000} s` : `${Number(ms.toPrecision(1))} ms`;
    lines.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(ms)}" y2="${y(ms)}" stroke="#e4e4e4"/>`,
      `<text x="${LEFT - 8}" y="${Number(y(ms)) + 4}" text-anchor="end" fill="#666">${label}</text>`,
    );
  }
  for (let ms = -calmMs; ms <= shownMs; ms += 1_000) {
    lines.push(
      `<text x="${x(ms)}" y="${HEAD_HEIGHT + PLOT_HEIGHT + 18}" text-anchor="middle" fill="#666">${ms / 1_000} s</text>`,
    );
  }
  return lines;
}

/** Median (dark) and slowest (light) of the asks that began in the same moment. */
function columns({ asked, at }: Panel, shownMs: number, x: Scale, y: Scale): string[] {
  const shown = asked.filter(({ from }) => from - at <= shownMs);
  const groups = Map.groupBy(shown, ({ from }) => Math.floor((from - at) / COLUMN_MS));
  return [...groups].map(([n, group]) => {
    const waits = group.map(({ from, to }) => to - from).sort((a, b) => a - b);
    const median = waits[Math.floor(waits.length / 2)] ?? 0;
    const [left, high, low] = [x((n + 0.5) * COLUMN_MS), y(waits.at(-1) ?? 0), y(median)];
    return `<path d="M${left} ${low}V${high}" stroke="#7fa8cf" stroke-width="1.6"/><circle cx="${left}" cy="${low}" r="1.6" fill="#1f4e79"/>`;
  });
}
