/**
 * Files of the old way, read into one board.
 *
 * I1 Everything wrong in all files is told at once, each at its place; with one problem nothing is imported.
 * I2 What several files say of one task must agree; what one leaves out, another may add.
 * I3 How a task stands is what was written last: by time where there is one, by the order of the files otherwise.
 */
import { findCycle } from '#machines/graph';
import { formatPlace, Problems, suggest } from '#runtime/supervise/problems';
import { Places, readSource } from '#runtime/supervise/source';
import { taskSpecSchema } from '#schemas/task';
import { coordinatorErrors } from '../errors.ts';
import { isBoardFile, readBoardFile } from './board-file.ts';
import type { Facts, Remark, SessionFact, StateFact, TaskFact } from './facts.ts';
import { readBoard } from './markdown.ts';
import { isProgressFile, readProgressFile } from './progress-file.ts';
import { specOf } from './spec.ts';
import { isStatusFile, readStatusFile } from './status-file.ts';

export interface SourceFile {
  /** As the user would type it. */
  readonly file: string;
  readonly text: string;
}

export interface Wanted {
  /** In the order of the files. */
  readonly tasks: readonly TaskFact[];
  readonly sessions: readonly SessionFact[];
  /** One per task: the last (I3). */
  readonly states: readonly StateFact[];
  readonly remarks: readonly Remark[];
}

const NO_FACTS: Facts = { tasks: [], sessions: [], states: [] };

/** Reads them all. `known` are the tasks a board has already, with their dependencies. Throws `bad_import`. */
export function readFiles(
  files: readonly SourceFile[],
  known: ReadonlyMap<string, readonly string[]> = new Map(),
): Wanted {
  const problems = new Problems(coordinatorErrors.bad_import);
  const remarks: Remark[] = [];
  const read = files.map((file) => readFile(file, problems, remarks));
  const tasks = mergedTasks(
    read.flatMap((facts) => facts.tasks),
    problems,
  );
  const sessions = mergedSessions(
    read.flatMap((facts) => facts.sessions),
    problems,
  );
  const states = newest(read.flatMap((facts) => facts.states));
  checkNames(tasks, states, known, problems);
  checkCycles(tasks, known, problems);
  problems.throwIfAny();
  return { tasks: [...tasks.values()], sessions, states, remarks };
}

function readFile({ file, text }: SourceFile, problems: Problems, remarks: Remark[]): Facts {
  if (/\.(?:md|markdown)$/i.test(file))
    return found(readBoard(text, { file, problems, remarks }), file, problems);
  const places = new Places();
  const data = readSource(text, { file, places, problems });
  const start = { file, line: 1, column: 1 };
  if (data === undefined) return NO_FACTS;
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    problems.add(start, 'holds no board: expected a mapping with "session", "sessions" or "tasks"');
    return NO_FACTS;
  }
  const reading = { places, problems, remarks };
  if (isStatusFile(data)) return readStatusFile(data, reading);
  if (isProgressFile(data)) return readProgressFile(data, reading);
  if (isBoardFile(data)) return readBoardFile(data, reading);
  problems.add(
    start,
    'is none of the files known: expected "session" (STATUS-*.yaml), "sessions" (progress.yaml) or "tasks" (a board)',
  );
  return NO_FACTS;
}

function found(facts: Facts, file: string, problems: Problems): Facts {
  if (facts.tasks.length === 0 && !problems.any)
    problems.add({ file, line: 1, column: 1 }, 'holds no table with a column "Task"');
  return facts;
}

/** I2. */
function mergedTasks(facts: readonly TaskFact[], problems: Problems): Map<string, TaskFact> {
  const merged = new Map<string, TaskFact>();
  for (const fact of facts) {
    const before = merged.get(fact.id);
    if (before === undefined) merged.set(fact.id, fact);
    else merged.set(fact.id, agreed(before, fact, problems));
  }
  for (const fact of merged.values()) {
    // I1: a board refuses a batch by one of them, when those before it are added already.
    for (const { path, message } of taskSpecSchema.safeParse(specOf(fact)).error?.issues ?? [])
      problems.add(fact.place, [fact.id, ...(path.length > 0 ? [path.join('.')] : []), message].join(': '));
  }
  return merged;
}

function agreed(before: TaskFact, fact: TaskFact, problems: Problems): TaskFact {
  const both: Record<string, unknown> = { ...fact };
  for (const [key, value] of Object.entries(before)) {
    const other = both[key];
    if (key !== 'place' && !isEmpty(other) && !isEmpty(value) && !isSame(value, other))
      problems.add(
        fact.place,
        `${fact.id} has another ${key} than at ${formatPlace(before.place)}: ${shown(other)}, there ${shown(value)}`,
      );
    if (!isEmpty(value)) both[key] = value;
  }
  return both as unknown as TaskFact;
}

function mergedSessions(facts: readonly SessionFact[], problems: Problems): SessionFact[] {
  const merged = new Map<string, SessionFact>();
  for (const fact of facts) {
    const before = merged.get(fact.id);
    if (before?.capabilities !== undefined && fact.capabilities !== undefined)
      problems.add(fact.place, `session ${fact.id} stands at ${formatPlace(before.place)} already`);
    else merged.set(fact.id, { ...fact, ...before });
  }
  return [...merged.values()];
}

/** I3. */
function newest(states: readonly StateFact[]): StateFact[] {
  const last = new Map<string, StateFact>();
  for (const state of states) {
    const before = last.get(state.task);
    if (before === undefined || (state.at ?? 0) >= (before.at ?? 0)) last.set(state.task, state);
  }
  return [...last.values()];
}

function checkNames(
  tasks: ReadonlyMap<string, TaskFact>,
  states: readonly StateFact[],
  known: ReadonlyMap<string, readonly string[]>,
  problems: Problems,
): void {
  const ids = [...tasks.keys(), ...known.keys()];
  const has = (id: string): boolean => tasks.has(id) || known.has(id);
  for (const { id, deps = [], place } of tasks.values()) {
    // What it waits for on the board already may be added later, as it might when it was added.
    const waits = known.get(id) ?? [];
    const others = ids.filter((one) => one !== id);
    for (const dep of deps.filter((one) => !has(one) && !waits.includes(one)))
      problems.add(
        place,
        `${id} waits for ${dep}, which is no task of these files or of the board${suggest(dep, others)}`,
      );
  }
  for (const { task, place } of states) {
    if (!has(task))
      problems.add(place, `${task} is no task of these files or of the board${suggest(task, ids)}`);
  }
}

function checkCycles(
  tasks: ReadonlyMap<string, TaskFact>,
  known: ReadonlyMap<string, readonly string[]>,
  problems: Problems,
): void {
  const depsOf = (id: string): readonly string[] => tasks.get(id)?.deps ?? known.get(id) ?? [];
  const cycle = findCycle(tasks.keys(), depsOf);
  const place = tasks.get(cycle?.find((id) => tasks.has(id)) ?? '')?.place;
  if (cycle !== undefined && place !== undefined)
    problems.add(place, `these wait for one another: ${cycle.join(' → ')}`);
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

function isSame(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((item) => b.includes(item));
}

function shown(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : JSON.stringify(value);
}
