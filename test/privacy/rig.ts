/** A realm with personal fields, and eyes for everything that lies on its disk. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const UNTIL_MS = 10_000;

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
