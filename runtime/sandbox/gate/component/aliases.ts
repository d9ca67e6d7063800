/** Aliases and sorts: how parts of a component name each other. */
import { gateErrors } from '../errors.ts';
import { componentName, coreName } from '../names.ts';
import type { Reader } from '../reader.ts';

/** What things are. Core sorts follow after a zero. */
const CORE = 0;
const SORTS = new Set([1, 3, 4, 5]);
const CORE_SORTS = new Set([0, 1, 2, 3, 0x10, 0x11, 0x12]);
const Targets = { export: 0, coreExport: 1, outer: 2 } as const;

export function readAlias(content: Reader): void {
  readSort(content);
  const { at } = content;
  const target = content.u8();
  content.u32();
  switch (target) {
    case Targets.export:
      componentName(content);
      return;
    case Targets.coreExport:
      coreName(content);
      return;
    case Targets.outer:
      content.u32();
      return;
    default:
      throw content.malformed(`An alias of kind ${target}`, at);
  }
}

export function readSort(content: Reader): void {
  const { at } = content;
  const sort = content.u8();
  if (sort === CORE) {
    readCoreSort(content);
    return;
  }
  if (!SORTS.has(sort))
    throw content.refuse(gateErrors.component_feature, `The sort ${sort} is not allowed`, at);
}

export function readCoreSort(content: Reader): void {
  const { at } = content;
  const sort = content.u8();
  if (!CORE_SORTS.has(sort)) {
    throw content.refuse(gateErrors.component_feature, `The core sort ${sort} is not allowed`, at);
  }
}
