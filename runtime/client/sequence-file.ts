/**
 * Sequence numbers in the data folder, safe among processes without locks: a number is claimed by creating the file
 * of its name, exclusively. A file is removed only once the highest stands {@link KEPT} above it, so a claim that is
 * nearer to the highest is the first of its number; a caller that slept longer than that tries again.
 */
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAddress } from '#schemas/address';
import type { SequenceStore } from './types.ts';

/** Numbers kept below the highest. */
const KEPT = 64;
const NUMBER = /^[1-9][0-9]*$/;

/** Throws `bad_address` for a sender that is no address. */
export function fileSequences(folder: string): SequenceStore {
  return {
    async next(sender) {
      const { type, id } = parseAddress(sender);
      const place = join(folder, `${type}%${id}`);
      await mkdir(place, { recursive: true, mode: 0o700 });
      for (let seq = (await highest(place)) + 1; ; seq += 1) {
        if (!(await claim(join(place, String(seq))))) continue;
        const top = await highest(place);
        if (top - seq < KEPT) {
          await removeBelow(place, top - KEPT + 1);
          return seq;
        }
        await rm(join(place, String(seq)), { force: true });
        seq = top;
      }
    },
  };
}

async function claim(file: string): Promise<boolean> {
  try {
    await (await open(file, 'wx', 0o600)).close();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

async function numbers(folder: string): Promise<number[]> {
  return (await readdir(folder)).filter((name) => NUMBER.test(name)).map(Number);
}

async function highest(folder: string): Promise<number> {
  return Math.max(0, ...(await numbers(folder)));
}

async function removeBelow(folder: string, seq: number): Promise<void> {
  for (const lower of await numbers(folder)) {
    if (lower < seq) await rm(join(folder, String(lower)), { force: true });
  }
}
