/** How far an index has come: one row, written in the transaction that came so far. */
import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';

const stateSchema = z.strictObject({
  format: z.int(),
  /** Which realm's log it is. */
  realm: z.string(),
  /** Everything through this sequence is in. */
  seq: z.int().min(0),
  /** SHA-256 of the commit of `seq`, hex: another log with the same name is found out by it. */
  hash: z.string(),
  /** Time of that commit, ms since the epoch. */
  at: z.number(),
  entries: z.int().min(0),
  /** Commits that could not be read; `infrafabric verify` says more. */
  unreadable: z.int().min(0),
  /** Everything before this sequence has left the log, and the index. */
  first: z.int().min(1),
  /** False while a large build has no indexes yet. */
  whole: z.boolean(),
});

export type IndexState = z.infer<typeof stateSchema>;

/** Undefined where there is none, or it is damaged. */
export function loadState(db: DatabaseSync): IndexState | undefined {
  const value = db.prepare("SELECT value FROM meta WHERE key = 'state'").get()?.['value'];
  if (typeof value !== 'string') return undefined;
  try {
    return stateSchema.parse(JSON.parse(value));
  } catch {
    // Damaged: what cannot say how far it is gets built anew.
    return undefined;
  }
}

export function saveState(db: DatabaseSync, state: IndexState): void {
  db.prepare("INSERT OR REPLACE INTO meta VALUES ('state', ?)").run(JSON.stringify(state));
}
