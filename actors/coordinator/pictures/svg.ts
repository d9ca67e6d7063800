/**
 * The dependency graph as an SVG file of its own.
 *
 * V1 Whatever a task says is text: it is escaped, and never a tag, a style or a link.
 * V2 No script, no font, no picture from elsewhere; colours follow the reader's light or dark.
 * V3 A layout costs more than its size: past GRAPH_TASKS_MAX tasks there is none.
 */
import { Graph, layout } from '@dagrejs/dagre';
import { FabricError } from '#schemas/fabric-error';
import { coordinatorErrors } from '../errors.ts';
import { criticalPath } from '../graph/critical-path.ts';
import type { TaskGraph } from '../graph/graph.ts';
import { type PictureTask, statusSign, statusWord, workerName } from './task.ts';

/** V3. */
export const GRAPH_TASKS_MAX = 500;
const BOX = { width: 220, height: 58 } as const;
const MARGIN = 16;
/** Of the font at its size: what is longer is cut. */
const CHARACTERS_MAX = 32;

const STYLE = `
:root { color-scheme: light dark; }
svg { --ink: #1f2328; --faint: #59636e; --line: #818b98; --back: #ffffff; --box: #f6f8fa;
  --completed: #1a7f37; --in_progress: #0969da; --claimed: #0969da; --blocked: #9a6700; --failed: #cf222e; }
@media (prefers-color-scheme: dark) { svg { --ink: #f0f6fc; --faint: #9198a1; --line: #656c76; --back: #0d1117;
  --box: #151b23; --completed: #3fb950; --in_progress: #4493f8; --claimed: #4493f8; --blocked: #d29922; --failed: #f85149; } }
.back { fill: var(--back); }
.box { fill: var(--box); stroke: var(--line); stroke-width: 1.5; }
.completed { stroke: var(--completed); } .in_progress { stroke: var(--in_progress); }
.claimed { stroke: var(--claimed); stroke-dasharray: 5 3; } .blocked { stroke: var(--blocked); }
.failed { stroke: var(--failed); } .waiting, .cancelled, .absent { stroke-dasharray: 2 3; }
.bar { fill: var(--in_progress); opacity: .18; }
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: var(--ink); }
.id { font-weight: 600; } .state { fill: var(--faint); }
.edge { fill: none; stroke: var(--line); stroke-width: 1.2; } .critical { stroke: var(--ink); stroke-width: 2.5; }
.head { fill: var(--line); }
`;

export function svg(
  graph: TaskGraph<PictureTask>,
  title = 'Dependencies',
  path: readonly string[] = criticalPath(graph).ids,
): string {
  const size = graph.nodes.size + graph.missing.length;
  if (size > GRAPH_TASKS_MAX) {
    throw new FabricError(
      coordinatorErrors.graph_too_large,
      `${size} tasks are too many for a picture: at most ${GRAPH_TASKS_MAX}`,
    );
  }
  const drawn = laidOut(graph);
  const { width = 0, height = 0 } = drawn.graph();
  const w = Math.ceil(Math.max(width, BOX.width + 2 * MARGIN));
  const h = Math.ceil(Math.max(height, BOX.height + 2 * MARGIN));
  const critical = new Set(path.slice(1).map((id, n) => `${path[n]}\n${id}`));
  const edges = drawn.edges().map(({ v, w: to }) => {
    const strong = critical.has(`${v}\n${to}`) ? ' critical' : '';
    return `<path class="edge${strong}" d="${curve(drawn.node(v), drawn.edge(v, to).points.slice(1, -1), drawn.node(to))}" marker-end="url(#to)"/>`;
  });
  const boxes = drawn.nodes().map((id) => box(id, graph.nodes.get(id)?.task, drawn.node(id)));
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}">
<title id="title">${escaped(title)}</title>
<style>${STYLE}</style>
<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" markerUnits="userSpaceOnUse"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>
<rect class="back" width="${w}" height="${h}"/>
${[...edges, ...boxes].join('\n')}
</svg>
`;
}

/** What is used of the library's graph; its own types do not resolve for ES modules. */
interface Drawing {
  graph(): { readonly width?: number; readonly height?: number };
  setGraph(options: Readonly<Record<string, string | number>>): unknown;
  setNode(id: string, size: { readonly width: number; readonly height: number }): unknown;
  setEdge(from: string, to: string, label: object): unknown;
  nodes(): readonly string[];
  node(id: string): Point;
  edges(): readonly { readonly v: string; readonly w: string }[];
  edge(from: string, to: string): { readonly points: readonly Point[] };
}

function laidOut(graph: TaskGraph<PictureTask>): Drawing {
  const drawn: Drawing = new Graph();
  // Of the library's rankings the quicker: boxes stand a little less close.
  drawn.setGraph({
    rankdir: 'LR',
    ranker: 'tight-tree',
    nodesep: 14,
    ranksep: 56,
    marginx: MARGIN,
    marginy: MARGIN,
  });
  for (const id of [...graph.nodes.keys(), ...graph.missing]) drawn.setNode(id, { ...BOX });
  for (const [id, { deps }] of graph.nodes) for (const dep of deps) drawn.setEdge(dep, id, {});
  layout(drawn as Graph);
  return drawn;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

function box(id: string, task: PictureTask | undefined, { x, y }: Point): string {
  const left = x - BOX.width / 2;
  const top = y - BOX.height / 2;
  const { status = 'absent', title = '', worker = null, milestone = 0 } = task ?? {};
  const state = status === 'in_progress' ? `${milestone} %` : statusWord(status);
  const who = worker === null ? '' : ` · ${workerName(worker)}`;
  const texts = [
    ['id', `${statusSign(status)} ${id}`],
    ['title', title],
    ['state', `${state}${who}`],
  ] as const;
  const done = status === 'in_progress' ? (BOX.width * Math.min(100, Math.max(0, milestone))) / 100 : 0;
  const bar =
    done === 0
      ? ''
      : `<rect class="bar" x="${left}" y="${top}" width="${done}" height="${BOX.height}" rx="6"/>`;
  const lines = texts.map(
    ([kind, text], n) =>
      `<text class="${kind}" x="${left + 10}" y="${top + 18 + n * 16}">${escaped(short(text, CHARACTERS_MAX - 5))}</text>`,
  );
  return `<g><title>${escaped(`${id} ${title}`)}</title><rect class="box ${status.replaceAll(/[^a-z_]/g, '')}" x="${left}" y="${top}" width="${BOX.width}" height="${BOX.height}" rx="6"/>${bar}${lines.join('')}</g>`;
}

/** From the right side of one box to the left side of the other; level wherever it passes between others. */
function curve(from: Point, between: readonly Point[], to: Point): string {
  const start = { x: from.x + BOX.width / 2, y: from.y };
  const end = { x: to.x - BOX.width / 2, y: to.y };
  // Of neighbours the one point between is where a label would stand.
  const points = [start, ...(between.length > 1 ? between : []), end];
  const steps = points.slice(1).map((point, n) => {
    const before = points[n] ?? start;
    const middle = (before.x + point.x) / 2;
    return `C${at({ x: middle, y: before.y })} ${at({ x: middle, y: point.y })} ${at(point)}`;
  });
  return `M${at(start)}${steps.join('')}`;
}

function at({ x, y }: Point): string {
  return `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`;
}

function short(text: string, max: number): string {
  const signs = [...text];
  return signs.length <= max ? text : `${signs.slice(0, max - 1).join('')}…`;
}

/** V1. What XML cannot hold at all becomes a space. */
function escaped(text: string): string {
  return (
    text
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML 1.0 forbids
      .replace(/[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/g, ' ')
      .replace(/[<>&"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
  );
}
