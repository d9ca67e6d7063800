/**
 * Sequence numbers in the data folder, safe among processes without locks: a number is claimed by creating the file
 * of its name, exclusively, and counts only while it is the highest. Lower ones are removed after a higher one is
 * there, so the highest ever claimed is always there to be seen.
 */
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAddress } from '#schemas/address';
import type { SequenceStore } from './types.ts';

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
        if (top === seq) {
          await removeBelow(place, seq);
          return seq;
        }
        await rm(join(place, String(seq)), { force: true });
        seq = Math.max(seq, top);
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
