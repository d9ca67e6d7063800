import { readFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import { palette } from '#runtime/cli/render/palette';
import { partOf, taskGraph } from '../../actors/coordinator/graph/graph.ts';
import { graphLines } from '../../actors/coordinator/pictures/graph-text.ts';
import { mermaid } from '../../actors/coordinator/pictures/mermaid.ts';
import { GRAPH_TASKS_MAX, svg } from '../../actors/coordinator/pictures/svg.ts';
import type { PictureTask } from '../../actors/coordinator/pictures/task.ts';

const place = { palette: palette(false), width: 100 };

function task(id: string, deps: readonly string[] = [], more: Partial<PictureTask> = {}): PictureTask {
  return {
    id,
    title: `Task ${id}`,
    deps,
    status: 'available',
    milestone: 0,
    worker: null,
    filler: false,
    ...more,
  };
}

const HOSTILE = `</text><script>alert("x")</script>'&]]>\u0000\u001b[2J\ud800`;
const hostile = taskGraph([task('a', ['b'], { title: HOSTILE, status: '"><b' }), task('b', [HOSTILE])]);

function phase0(): PictureTask[] {
  const { tasks } = parse(readFileSync('deploy/examples/phase0-board.yaml', 'utf8')) as {
    tasks: { id: string; title: string; deps: string[] }[];
  };
  return tasks.map(({ id, title, deps }) => task(id, deps, { title }));
}

test('the graph as lines has each task once, below what it waits for', (t) => {
  const lines = graphLines(
    taskGraph([
      task('a', [], { status: 'completed', worker: 'session/cli' }),
      task('b', ['a'], { status: 'in_progress', milestone: 50, worker: 'session/bus' }),
      task('c', ['a'], { status: 'waiting' }),
      task('d', ['b', 'c'], { status: 'waiting' }),
      task('e'),
    ]),
    place,
  );
  t.deepEqual(lines, [
    '✓ a Task a  completed  cli',
    '├─ ◐ b Task b  50 %  bus',
    '│  └─ · d Task d  also after c',
    '└─ · c Task c',
    '○ e Task e',
  ]);
});

test('of some tasks the graph has what stands between them, and takes no other for missing', (t) => {
  const tasks = [
    task('a', [], { status: 'completed' }),
    task('b', ['a']),
    task('c', ['a', 'b', 'gone']),
    task('d', ['z']),
  ];
  const part = partOf(taskGraph(tasks), tasks.slice(1, 3));
  t.deepEqual(part.missing, ['gone']);
  t.deepEqual(graphLines(part, place), ['○ b Task b', '└─ ○ c Task c  also after gone']);
  t.is([...mermaid(part).matchAll(/(?:-->|==>)/g)].length, 2);
});

test('a circle ends the drawing, not the program', (t) => {
  const lines = graphLines(taskGraph([task('a', ['b']), task('b', ['a']), task('c', ['a'])]), place);
  t.is(lines.filter((line) => / [abc] Task /.test(line)).length, 3);
  t.regex(lines.at(-1) ?? '', /^circle: (a → b → a|b → a → b)$/);
  const two = graphLines(
    taskGraph([task('a', ['b']), task('b', ['a']), task('c', ['d']), task('d', ['c'])]),
    place,
  );
  t.is(two.filter((line) => / [abcd] Task /.test(line)).length, 4);
  t.is(two.at(-1), 'circle: a → b → a, and in others c, d');
});

test('Mermaid names every task and every dependency, and nothing of a title is syntax', (t) => {
  const graph = taskGraph(phase0());
  const text = mermaid(graph);
  t.is(text.match(/\["/g)?.length, 26);
  t.is(text.match(/ (-->|==>) /g)?.length, phase0().flatMap(({ deps }) => deps).length);
  const foreign = mermaid(hostile);
  for (const label of foreign.matchAll(/\["(.*)"\]/g)) {
    t.notRegex((label[1] ?? '').replaceAll('<br/>', ''), /["<>[\]{}`\p{Cc}]/u);
  }
  t.true(foreign.includes('#60;script#62;'));
});

test('SVG shows every task in both lights, and what a task says is text', (t) => {
  const picture = svg(taskGraph(phase0()), 'Phase 0');
  t.is(picture.match(/<g>/g)?.length, 26);
  t.true(picture.includes('prefers-color-scheme: dark'));
  t.true(picture.includes('edge critical'));
  const foreign = svg(hostile);
  t.notRegex(foreign, /<script|<b|href=|url\((?!#to)/);
  t.notRegex(foreign.replaceAll('\n', ''), /\p{Cc}/u);
  const tags = new Set([...foreign.matchAll(/<\/?([a-zA-Z]+)/g)].map(([, tag]) => tag));
  t.deepEqual([...tags].toSorted(), ['defs', 'g', 'marker', 'path', 'rect', 'style', 'svg', 'text', 'title']);
});

test('an empty board has a picture, one too large for a picture says what to do', (t) => {
  t.regex(svg(taskGraph([])), /^<svg [^>]+>/);
  const many = Array.from({ length: GRAPH_TASKS_MAX + 1 }, (_, n) => task(`t${n}`));
  t.throws(() => svg(taskGraph(many)), { message: /too many/ });
});
