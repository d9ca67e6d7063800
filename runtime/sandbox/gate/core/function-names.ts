/**
 * What functions are called in stack traces.
 *
 * F1  They are the guest's words: of each, letters, digits and a few marks stay, in a bounded length.
 * F2  A section that cannot be read is no reason to refuse a guest: its names are left out.
 */
import { FabricError } from '#schemas/fabric-error';
import type { Reader } from '../reader.ts';
import { Writer } from '../writer.ts';
import { SectionIds } from './sections.ts';

const FUNCTIONS = 1;
const NAMES_MAX = 100_000;
const CHARS_MAX = 100;
const STRANGE = /[^A-Za-z0-9_.$:<>-]/g;

/** The bytes of a section `name` that holds the functions' names; none where there are none. */
export function functionNames(section: Reader): Uint8Array {
  const pairs = readPairs(section);
  if (pairs.length === 0) return new Uint8Array();
  const names = new Writer();
  names.u32(pairs.length);
  for (const [index, name] of pairs) {
    names.u32(index);
    names.text(name);
  }
  const content = new Writer();
  content.text('name');
  content.section(FUNCTIONS, names.written);
  const out = new Writer();
  out.section(SectionIds.custom, content.written);
  return out.written;
}

function readPairs(section: Reader): readonly (readonly [index: number, name: string])[] {
  try {
    while (!section.isDone) {
      const kind = section.u8();
      const part = section.part(section.u32());
      if (kind === FUNCTIONS) return readNames(part);
    }
  } catch (error) {
    if (!(error instanceof FabricError)) throw error; // F2
  }
  return [];
}

function readNames(part: Reader): readonly (readonly [index: number, name: string])[] {
  const pairs: [number, string][] = [];
  let last = -1;
  for (let left = part.count(NAMES_MAX, 'names'); left > 0; left -= 1) {
    const index = part.u32();
    const name = part.text().slice(0, CHARS_MAX).replace(STRANGE, '_'); // F1
    if (index <= last) return [];
    last = index;
    pairs.push([index, name]);
  }
  return pairs;
}
