/** A realm with personal fields, and eyes for everything that lies on its disk. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { KeyRows } from '#runtime/privacy/data-keys';

const UNTIL_MS = 60_000;

export function personConfig(
  personal: Readonly<Record<string, unknown>> = {},
  more: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const machine = `${resolve(import.meta.dirname, 'person.ts')}#person`;
  return {
    drivers: { process: { allow: ['cat'] } },
    limits: { snapshotEvery: 5 },
    kinds: {
      person: {
        machine,
        spawnOnMessage: true,
        door: 'open',
        personal: { fields: ['/message/content/name'], ...personal },
      },
      plain: { machine: 'counter', spawnOnMessage: true, door: 'open' },
    },
    ...more,
  };
}

/** Files under a folder that hold a text, as it is, or as msgpack, JSON and URLs spell it; base64 of bodies too. */
export function filesWith(folder: string, text: string): string[] {
  const needles = [text, encodeURIComponent(text), ...base64Of(text)].map((needle) => Buffer.from(needle));
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      // The server replaces files while it runs.
      const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
      return needles.some((needle) => bytes.includes(needle));
    });
}

/** What is certain of a text in base64, at each of the three places it may stand. */
function base64Of(text: string): string[] {
  return [0, 1, 2].map((at) => {
    const bytes = Buffer.concat([Buffer.alloc(at), Buffer.from(text)]);
    return bytes.toString('base64').slice(Math.ceil((at * 8) / 6), Math.floor((bytes.byteLength * 8) / 6));
  });
}

/** Looks again until it is so: what happens behind an answer cannot be awaited from outside. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + UNTIL_MS; Date.now() < deadline; await pause(20)) {
    if (await holds()) return;
  }
  throw new Error(`it never came about that ${what}`);
}

/** A bucket in memory that can be slow, and fail between two of its writes. */
export class MemoryRows implements KeyRows {
  readonly stored: { subject: string; row: unknown; revision: number }[] = [];
  readonly #watchers = new Set<(row: unknown, revision: number) => void>();
  #revision = 0;
  #check: string | undefined;
  /** Awaited before anything is done. */
  before: (what: string, subject: string) => Promise<void> = async () => {};

  async get(subject: string): Promise<{ row: unknown; revision: number } | undefined> {
    await this.before('get', subject);
    return this.stored.findLast((item) => item.subject === subject);
  }

  async put(subject: string, row: unknown, revision: number): Promise<boolean> {
    await this.before('put', subject);
    if ((this.stored.findLast((item) => item.subject === subject)?.revision ?? 0) !== revision) return false;
    this.#revision += 1;
    this.stored.push({ subject, row, revision: this.#revision });
    for (const changed of this.#watchers) changed(row, this.#revision);
    return true;
  }

  async erase(subject: string, before: number): Promise<number> {
    await this.before('erase', subject);
    const isOld = (item: { subject: string; revision: number }): boolean =>
      item.subject === subject && item.revision < before;
    const erased = this.stored.filter(isOld).length;
    this.stored.splice(0, this.stored.length, ...this.stored.filter((item) => !isOld(item)));
    return erased;
  }

  async watch(changed: (row: unknown, revision: number) => void): Promise<{ close(): Promise<void> }> {
    this.#watchers.add(changed);
    return {
      close: async () => {
        this.#watchers.delete(changed);
      },
    };
  }

  async check(mark: string | undefined): Promise<string | undefined> {
    this.#check ??= mark;
    return this.#check;
  }
}
