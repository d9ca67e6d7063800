/** A core module as it goes to the code generator: without custom sections (S2). */
import type { Reader } from '../reader.ts';
import { Writer } from '../writer.ts';
import { functionNames } from './function-names.ts';
import { MODULE_HEAD, readSections } from './sections.ts';

export function cleanModule(module: Reader): Uint8Array<ArrayBuffer> {
  const { list, names } = readSections(module);
  const out = new Writer(module.end - module.at + 64);
  out.raw(MODULE_HEAD);
  for (const { id, content } of list) out.section(id, content.bytes.subarray(content.at, content.end));
  if (names !== undefined) out.raw(functionNames(names));
  return out.written;
}
