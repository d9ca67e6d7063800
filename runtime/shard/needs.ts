/**
 * The machine versions without which nobody can recover a shard: those its actors were on when the snapshot was taken
 * from which a recovery begins, and those that the log after it steps.
 *
 * V1  Never too few: a version goes only with a stored snapshot in which nobody is on it, and which no commit after
 *     it names.
 */
import type { Commit } from '#schemas/commit';

export class Needs {
  #base: ReadonlySet<string> = new Set();
  #since = new Set<string>();
  /** What a snapshot that is being written begins with, and what the log after it names. */
  #next: { readonly base: ReadonlySet<string>; readonly since: Set<string> } | undefined;
  #last: string | undefined;
  #isChanged = false;

  /** A recovery begins with a snapshot whose actors are on these. */
  begin(versions: Iterable<string>): void {
    this.#base = new Set(versions);
    this.#isChanged = true;
  }

  /** A commit was stored, or folded. */
  saw({ entries, import: taken }: Commit): void {
    for (const { machine } of taken?.actors ?? []) this.#since.add(machine);
    if (taken !== undefined) this.#isChanged = true;
    for (const { machine, op } of entries) {
      // Most commits step one machine. What is dead stepped none.
      if (machine === undefined || machine === this.#last || op === 'dead') continue;
      this.#last = machine;
      if (!this.#since.has(machine)) this.#isChanged = true;
      this.#since.add(machine);
      this.#next?.since.add(machine);
    }
  }

  /** A snapshot is being taken of actors that are on these. */
  captured(versions: Iterable<string>): void {
    this.#last = undefined;
    this.#next = { base: new Set(versions), since: new Set() };
  }

  /** It is stored: a recovery begins with it from now on. */
  stored(): void {
    if (this.#next === undefined) return;
    this.#base = this.#next.base;
    this.#since = this.#next.since;
    this.#next = undefined;
    this.#isChanged = true;
  }

  /** Every version needed, sorted. */
  get versions(): readonly string[] {
    return [...new Set([...this.#base, ...this.#since])].sort();
  }

  /** The versions where they may have changed since they were last taken, undefined otherwise. */
  takeChanged(): readonly string[] | undefined {
    if (!this.#isChanged) return undefined;
    this.#isChanged = false;
    return this.versions;
  }
}
