/** Everything wrong with files that people write, each with its place: all of it is reported at once. */
import { distance } from 'fastest-levenshtein';
import { type ErrorKind, FabricError } from '#schemas/fabric-error';
import { superviseErrors } from './errors.ts';

/** Problems shown; a file with more of them has one cause. */
const PROBLEMS_MAX = 100;

export interface Place {
  /** As the user would type it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

export interface Problem extends Place {
  readonly what: string;
}

export class Problems {
  readonly #kind: ErrorKind;
  readonly #found: Problem[] = [];

  /** `kind` is what it throws. */
  constructor(kind: ErrorKind = superviseErrors.bad_config) {
    this.#kind = kind;
  }

  add(place: Place, what: string): void {
    const { file, line, column } = place;
    this.#found.push({ file, line, column, what });
  }

  /** For what may only follow from a problem already found at the same place. */
  addUnlessKnown(place: Place, what: string): void {
    const same = (other: Problem) =>
      other.file === place.file && other.line === place.line && other.column === place.column;
    if (!this.#found.some(same)) this.add(place, what);
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  /** Throws its kind of error with every problem, in reading order, when there is one. */
  throwIfAny(): void {
    if (!this.any) return;
    const files = [...new Set(this.#found.map((problem) => problem.file))];
    const sorted = this.#found.toSorted(
      (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
    );
    const shown = sorted.slice(0, PROBLEMS_MAX);
    const more = sorted.length - shown.length;
    const lines = shown.map(formatProblem);
    if (more > 0) lines.push(`… and ${more} more`);
    throw new FabricError(this.#kind, lines.join('\n'), {
      details: { problems: shown, count: sorted.length },
    });
  }
}

/** `file:line:column: what`. */
export function formatProblem({ file, line, column, what }: Problem): string {
  return `${formatPlace({ file, line, column })}: ${what}`;
}

export function formatPlace({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}

/** ` — did you mean "x"?`, or how to choose when nothing is close; empty without candidates. */
export function suggest(wrong: string, candidates: readonly string[]): string {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wrong.length / 3)) + 1;
  for (const candidate of candidates) {
    const far = distance(wrong.toLowerCase(), candidate.toLowerCase());
    if (far < bestDistance) {
      best = candidate;
      bestDistance = far;
    }
  }
  if (best !== undefined) return ` — did you mean "${best}"?`;
  if (candidates.length === 0 || candidates.length > 20) return '';
  return ` — known: ${candidates.toSorted().join(', ')}`;
}
