/**
 * Task boards as people keep them in Markdown: tables with a column of tasks.
 *
 * M1 A table without a column of tasks is prose. One with it is read to the last cell: what is not understood is a
 *    problem at its place, and a column that is not known is told.
 * M2 "All above" is every task above it in its section; "All components" is the end of each section whose heading names
 *    a component, `IF.name`: the tasks there that no other task of the section waits for.
 */
import type { Table, TableCell } from 'mdast';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmTableFromMarkdown } from 'mdast-util-gfm-table';
import { toString as textOf } from 'mdast-util-to-string';
import { gfmTable } from 'micromark-extension-gfm-table';
import type { Place, Problems } from '#runtime/supervise/problems';
import type { Facts, Remark, StateFact, TaskFact } from './facts.ts';
import { hoursOf, isNothing, milestoneOf, sessionIdOf, statusOf } from './names.ts';

interface Reading {
  readonly file: string;
  readonly problems: Problems;
  readonly remarks: Remark[];
}

type Column =
  | 'task'
  | 'id'
  | 'title'
  | 'owner'
  | 'deps'
  | 'model'
  | 'deliverable'
  | 'status'
  | 'hours'
  | 'requires'
  | 'priority'
  | 'kind'
  | 'filler';

const HEADINGS: readonly (readonly [RegExp, Column])[] = [
  [/^(?:task|tasks|work item|item)$/i, 'task'],
  [/^(?:id|task id|#)$/i, 'id'],
  [/^(?:title|description|summary|name)$/i, 'title'],
  [/^(?:owner|session|assignee|assigned to|who|worker|for)$/i, 'owner'],
  [/^(?:dependenc(?:y|ies)|deps|depends on|after|blocked by|waits for)$/i, 'deps'],
  [/^model$/i, 'model'],
  [/^(?:deliverables?|output|artifacts?)$/i, 'deliverable'],
  [/^(?:status|state|progress)$/i, 'status'],
  [/^(?:estimate|hours|effort|time|est\.?)$/i, 'hours'],
  [/^(?:requires|capabilit(?:y|ies)|skills?)$/i, 'requires'],
  [/^(?:priority|prio)$/i, 'priority'],
  [/^(?:kind|type)$/i, 'kind'],
  [/^filler$/i, 'filler'],
];

/** `P0.1.1: Title`, `**P0.1.1** – Title`. */
const TASK = /^[*_`]*([A-Za-z0-9][A-Za-z0-9._@+=-]*?)[*_`]*(?:\s*[:–—]\s*|\s+-\s+)(\S.*)$/s;
const ID = /^[A-Za-z0-9][A-Za-z0-9._@+=:-]*$/;
const BLOCKED_ON = /^blocked\s+(?:on|by)\s+([^\s?].*)$/is;
const PRIORITIES: Readonly<Record<string, number>> = { critical: 3, high: 2, medium: 1, normal: 0, low: -1 };

interface Row {
  readonly fact: TaskFact;
  /** The cell of its dependencies, to be read once all tasks are known. */
  readonly deps: Cell | undefined;
}

interface Section {
  readonly heading: string;
  readonly rows: Row[];
}

interface Cell {
  readonly place: Place;
  /** As it is shown. */
  readonly text: string;
  /** As it is written. */
  readonly source: string;
  readonly code: readonly string[];
}

export function readBoard(text: string, reading: Reading): Facts {
  const tree = fromMarkdown(text, { extensions: [gfmTable()], mdastExtensions: [gfmTableFromMarkdown()] });
  const sections: Section[] = [{ heading: '', rows: [] }];
  const states: StateFact[] = [];
  for (const node of tree.children) {
    if (node.type === 'heading') sections.push({ heading: textOf(node), rows: [] });
    const section = sections.at(-1);
    if (node.type === 'table' && section !== undefined) readTable(node, { text, section, states, reading });
  }
  return { tasks: withDeps(sections, reading), sessions: [], states };
}

interface TableReading {
  readonly text: string;
  readonly section: Section;
  readonly states: StateFact[];
  readonly reading: Reading;
}

function readTable(table: Table, { text, section, states, reading }: TableReading): void {
  const [head, ...body] = table.children;
  if (head === undefined) return;
  const heads = head.children.map((node) => cellOf(node, text, reading.file));
  const columns = heads.map((cell) => HEADINGS.find(([pattern]) => pattern.test(cell.text.trim()))?.[1]);
  // M1.
  if (!columns.includes('task') && !(columns.includes('id') && columns.includes('title'))) return;
  for (const [n, { text: name, place }] of heads.entries()) {
    if (columns[n] === undefined && name.trim() !== '')
      reading.remarks.push({ ...place, what: `the column "${name}" has no meaning on a board: left out` });
  }
  for (const row of body) {
    const cells = new Map<Column, Cell>();
    for (const [n, node] of row.children.entries()) {
      const column = columns[n];
      if (column !== undefined && !cells.has(column)) cells.set(column, cellOf(node, text, reading.file));
    }
    readRow(cells, { section, states, reading });
  }
}

function readRow(
  cells: ReadonlyMap<Column, Cell>,
  { section, states, reading }: Omit<TableReading, 'text'>,
): void {
  const named = nameOf(cells, reading);
  if (named === undefined) return;
  const { id, title, place } = named;
  const owner = sessionIdOf(cells.get('owner')?.text ?? '');
  const model = said(cells.get('model'));
  const deliverable = cells.get('deliverable');
  const hours = numbered(cells.get('hours'), hoursOf, 'a time such as 2h or 30 min', reading);
  const priority = numbered(cells.get('priority'), priorityOf, 'a number, or high, medium, low', reading);
  const requires = said(cells.get('requires'));
  const kind = said(cells.get('kind'));
  const filler = said(cells.get('filler'));
  section.rows.push({
    deps: cells.get('deps'),
    fact: {
      place,
      id,
      title,
      ...(owner !== undefined && { owner }),
      ...(model !== undefined && { model: model.text.toLowerCase() }),
      ...(deliverable !== undefined && { deliverables: deliverablesOf(deliverable) }),
      ...(hours !== undefined && { hours }),
      ...(priority !== undefined && { priority }),
      ...(requires !== undefined && { requires: listOf(requires.text) }),
      ...(kind !== undefined && { kind: kind.text }),
      ...(filler !== undefined && /^(?:yes|true|x|✓|✅)$/i.test(filler.text.trim()) && { filler: true }),
    },
  });
  const status = said(cells.get('status'));
  if (status !== undefined) readStatus(status, { id, owner }, { states, reading });
}

function readStatus(
  { text, source, place }: Cell,
  { id, owner }: { readonly id: string; readonly owner: string | undefined },
  { states, reading }: Pick<TableReading, 'states' | 'reading'>,
): void {
  const status = statusOf(text);
  if (status === undefined) {
    reading.problems.add(place, `"${text}" is no state: not started, claimed, 50 %, blocked, completed …`);
    return;
  }
  if (status === 'waiting') return;
  const milestone = milestoneOf(/\d+(?:\.\d+)?\s*%.*$/s.exec(text)?.[0] ?? '');
  const [, blockedOn] = BLOCKED_ON.exec(source.trim()) ?? BLOCKED_ON.exec(text.trim()) ?? [];
  states.push({
    place,
    task: id,
    status,
    ...(owner !== undefined && { session: owner }),
    ...(status === 'in_progress' && milestone !== undefined && { milestone: milestone.milestone }),
    ...(status === 'blocked' && blockedOn !== undefined && { blockedOn }),
  });
}

function nameOf(
  cells: ReadonlyMap<Column, Cell>,
  { problems }: Reading,
): { readonly id: string; readonly title: string; readonly place: Place } | undefined {
  const [task, id, title] = [cells.get('task'), cells.get('id'), cells.get('title')];
  if (id !== undefined && (title ?? task) !== undefined) {
    // Signs within an id are no marks of emphasis.
    const text = ID.test(id.source.trim()) ? id.source.trim() : id.text.trim();
    if (ID.test(text)) return { id: text, title: titleOf(title ?? task), place: id.place };
    problems.add(id.place, `"${text}" is no id: letters, digits and . _ @ + = : -`);
    return undefined;
  }
  const [, name, rest] = TASK.exec(task?.source.trim() ?? '') ?? [];
  if (task !== undefined && name !== undefined && rest !== undefined)
    return { id: name, title: rest, place: task.place };
  if (task !== undefined && title !== undefined && ID.test(task.text.trim()))
    return { id: task.text.trim(), title: titleOf(title), place: task.place };
  const place = task?.place ?? [...cells.values()][0]?.place;
  if (place !== undefined)
    problems.add(place, `"${task?.text ?? ''}" names no task: expected ID: title, such as P1.2: Event bus`);
  return undefined;
}

function titleOf(cell: Cell | undefined): string {
  return cell?.source.trim() ?? '';
}

/** Dependencies, once every task of the file is known (M2). */
function withDeps(sections: readonly Section[], reading: Reading): TaskFact[] {
  const plain = new Map<string, readonly string[]>();
  for (const { rows } of sections) {
    for (const [n, { fact, deps }] of rows.entries()) {
      const above = rows.slice(0, n).map((row) => row.fact.id);
      if (deps !== undefined && !isAllComponents(deps)) plain.set(fact.id, depsOf(deps, above, reading));
    }
  }
  const ends = sections
    .filter(({ heading }) => /\bIF\.\w/i.test(heading))
    .flatMap((section) => endsOf(section, plain));
  return sections.flatMap(({ rows }) =>
    rows.map(({ fact, deps }) => {
      if (deps === undefined) return fact;
      if (!isAllComponents(deps)) return { ...fact, deps: plain.get(fact.id) ?? [] };
      const others = ends.filter((id) => id !== fact.id);
      if (others.length === 0)
        reading.problems.add(deps.place, 'no section names a component in its heading, such as "IF.bus"');
      return { ...fact, deps: others };
    }),
  );
}

function endsOf({ rows }: Section, deps: ReadonlyMap<string, readonly string[]>): string[] {
  const waitedFor = new Set(rows.flatMap(({ fact }) => deps.get(fact.id) ?? []));
  return rows.map(({ fact }) => fact.id).filter((id) => !waitedFor.has(id));
}

function isAllComponents({ text }: Cell): boolean {
  return /^all components$/i.test(text.trim());
}

function depsOf(cell: Cell, above: readonly string[], { problems }: Reading): readonly string[] {
  const source = cell.source.trim();
  // Signs within an id are no marks of emphasis.
  const text = source.split(/\s*,\s*/).every((part) => ID.test(part)) ? source : cell.text.trim();
  if (isNothing(text)) return [];
  if (/^all (?:of the )?above$/i.test(text)) {
    if (above.length === 0)
      problems.add(cell.place, '"All above" stands above all: there is nothing to wait for');
    return above;
  }
  const found: string[] = [];
  for (const part of text.split(/\s*(?:,|;|\+|&|\band\b)\s*/).filter((one) => one !== '')) {
    if (ID.test(part)) found.push(part);
    else
      problems.add(cell.place, `"${part}" is no task: expected ids, "None", "All above" or "All components"`);
  }
  return [...new Set(found)];
}

function deliverablesOf({ text, code }: Cell): readonly string[] {
  if (isNothing(text)) return [];
  return code.length > 0 ? code : [text.trim()];
}

function listOf(text: string): readonly string[] {
  return isNothing(text) ? [] : text.split(/[,;\s]+/).filter((part) => part !== '');
}

function priorityOf(text: string): number | undefined {
  const number = Number(text.replace(/^P(?=\d)/i, '-'));
  return Number.isFinite(number) ? number : PRIORITIES[text.trim().toLowerCase()];
}

function numbered(
  cell: Cell | undefined,
  parse: (text: string) => number | undefined,
  expected: string,
  { problems }: Reading,
): number | undefined {
  const found = said(cell);
  if (found === undefined) return undefined;
  const value = parse(found.text);
  if (value === undefined) problems.add(found.place, `"${found.text}" is not ${expected}`);
  return value;
}

/** The cell, unless it says nothing. */
function said(cell: Cell | undefined): Cell | undefined {
  return cell === undefined || isNothing(cell.text) ? undefined : cell;
}

function cellOf(node: TableCell, text: string, file: string): Cell {
  const [first, last] = [node.children[0], node.children.at(-1)];
  const at = first?.position?.start ?? node.position?.start;
  const from = first?.position?.start.offset ?? 0;
  const to = last?.position?.end.offset ?? from;
  return {
    place: { file, line: at?.line ?? 1, column: at?.column ?? 1 },
    text: textOf(node),
    source: text.slice(from, to).replaceAll('\\|', '|'),
    code: node.children.flatMap((child) => (child.type === 'inlineCode' ? [child.value] : [])),
  };
}
