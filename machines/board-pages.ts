/**
 * The graph of a board as text: a line for each task, its id and what it depends on. What a state holds is encoded and
 * hashed at each of its entries, and of ten thousand tasks that takes milliseconds as a record, microseconds as text.
 *
 * P1  Lines are only ever added, to the last page or to a new one.
 */

/** Lines, none of them on two pages. */
export type Pages = readonly string[];

/** Task → what it depends on, in the order they came. */
export type Graph = ReadonlyMap<string, readonly string[]>;

export interface Row {
  readonly id: string;
  readonly deps: readonly string[];
}

/** A page that is as long is full: the next line begins another. */
const PAGE_CHARS = 8_192;

/** What was read of pages, for as long as they are the newest: reading takes as long as there are tasks. */
const read = new WeakMap<Pages, Map<string, readonly string[]>>();

export function graphOf(pages: Pages): Graph {
  return mapOf(pages);
}

/** With further tasks; their ids are new, and neither they nor what they depend on holds a space or a line end. */
export function withRows(pages: Pages, rows: readonly Row[]): Pages {
  const graph = mapOf(pages);
  // It goes on with the pages that follow. Where they come to nothing, these are read again.
  read.delete(pages);
  const next = [...pages];
  for (const { id, deps } of rows) {
    const line = `${[id, ...deps].join(' ')}\n`;
    const last = next.at(-1);
    if (last === undefined || last.length >= PAGE_CHARS) next.push(line);
    else next[next.length - 1] = last + line;
    graph.set(id, deps);
  }
  read.set(next, graph);
  return next;
}

function mapOf(pages: Pages): Map<string, readonly string[]> {
  const known = read.get(pages);
  if (known !== undefined) return known;
  const graph = new Map<string, readonly string[]>();
  for (const page of pages) {
    for (const line of page.split('\n')) {
      const [id = '', ...deps] = line.split(' ');
      if (id !== '') graph.set(id, deps);
    }
  }
  read.set(pages, graph);
  return graph;
}
