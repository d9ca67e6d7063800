/** Texts that repeat, as numbers; the ones used last stay in memory. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** About 10 MB of addresses. */
const CACHED_MAX = 65_536;

export class Words {
  readonly #find: StatementSync;
  readonly #add: StatementSync;
  readonly #cached = new Map<string, number>();

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT id FROM word WHERE text = ?');
    this.#add = db.prepare('INSERT INTO word (text) VALUES (?)');
  }

  find(text: string): number | undefined {
    const cached = this.#cached.get(text);
    if (cached !== undefined) return cached;
    const id = this.#find.get(text)?.['id'];
    if (typeof id !== 'number') return undefined;
    this.#remember(text, id);
    return id;
  }

  /** Its number, a new one where it has none; within a transaction. */
  idOf(text: string): number {
    const known = this.find(text);
    if (known !== undefined) return known;
    const id = Number(this.#add.run(text).lastInsertRowid);
    this.#remember(text, id);
    return id;
  }

  /** After a rollback: numbers given in it are not. */
  forget(): void {
    this.#cached.clear();
  }

  #remember(text: string, id: number): void {
    if (this.#cached.size >= CACHED_MAX) this.#cached.clear();
    this.#cached.set(text, id);
  }
}
