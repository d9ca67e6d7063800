/** What files say: tasks, sessions and how tasks stand, each with its place. */
import type { Place } from '#runtime/supervise/problems';

/** A task as one file names it; absent is what the file does not say. */
export interface TaskFact {
  readonly place: Place;
  readonly id: string;
  readonly title?: string;
  readonly owner?: string;
  readonly deps?: readonly string[];
  readonly requires?: readonly string[];
  readonly deliverables?: readonly string[];
  readonly model?: string;
  readonly kind?: string;
  readonly priority?: number;
  readonly hours?: number;
  readonly cost?: number;
  readonly filler?: boolean;
}

export interface SessionFact {
  readonly place: Place;
  readonly id: string;
  readonly capabilities?: readonly string[];
  readonly profile?: unknown;
}

/** How a task stands, as somebody wrote it down. */
export interface StateFact {
  readonly place: Place;
  readonly task: string;
  readonly status: 'claimed' | 'in_progress' | 'blocked' | 'completed' | 'failed' | 'cancelled';
  /** Session that has it, or did it. */
  readonly session?: string;
  readonly milestone?: number;
  readonly note?: string;
  readonly blockedOn?: string;
  readonly reason?: string;
  readonly deliverable?: string;
  readonly testsPass?: boolean;
  readonly helpWanted?: boolean;
  readonly cost?: number;
  /** When it was written, ms since the epoch; what is undated is older. */
  readonly at?: number;
}

export interface Facts {
  readonly tasks: readonly TaskFact[];
  readonly sessions: readonly SessionFact[];
  readonly states: readonly StateFact[];
}

/** Something that was read and has no place on a board: told, and no error. */
export interface Remark extends Place {
  readonly what: string;
}
