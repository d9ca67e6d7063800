/**
 * A core module as a list of its sections.
 *
 * S1  Sections come in the order of the format and once each; what is no section of plain WebAssembly is refused.
 * S2  Custom sections are left out: nobody but tools reads them, each in its own way. Of `name`, the names of
 *     functions stay, for stack traces.
 */
import { gateErrors } from '../errors.ts';
import type { Reader } from '../reader.ts';

export const SectionIds = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
} as const;
export type SectionId = (typeof SectionIds)[keyof typeof SectionIds];

const { type, import: imports, function: functions, table, memory, global, export: exports } = SectionIds;
const { start, element, dataCount, code, data } = SectionIds;
/** As they stand in a module. */
const ORDER: readonly number[] = [
  type,
  imports,
  functions,
  table,
  memory,
  global,
  exports,
  start,
  element,
  dataCount,
  code,
  data,
];

export const MODULE_HEAD = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

export interface Section {
  readonly id: SectionId;
  readonly content: Reader;
}

export interface Sections {
  readonly list: readonly Section[];
  /** The content of the section `name`, if there is one. */
  readonly names: Reader | undefined;
}

/** Whether a section has its place before another. */
export function comesBefore(one: SectionId, other: SectionId): boolean {
  return ORDER.indexOf(one) < ORDER.indexOf(other);
}

export function readSections(reader: Reader): Sections {
  for (const byte of MODULE_HEAD) {
    const { at } = reader;
    if (reader.u8() !== byte) throw reader.malformed('No core module of version 1 begins so', at);
  }
  const list: Section[] = [];
  let names: Reader | undefined;
  let last = -1;
  while (!reader.isDone) {
    const { at } = reader;
    const id = reader.u8();
    const content = reader.part(reader.u32());
    if (id === SectionIds.custom) {
      if (content.text() === 'name') names = content; // S2
      continue;
    }
    const rank = ORDER.indexOf(id);
    if (rank < 0)
      throw reader.refuse(gateErrors.component_feature, `A section of kind ${id} is not allowed`, at);
    if (rank <= last) throw reader.malformed(`The section of kind ${id} is out of place`, at); // S1
    last = rank;
    list.push({ id: id as SectionId, content });
  }
  return { list, names };
}
