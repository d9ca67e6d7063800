/** Names and types of what a component, or the type of one, imports and exports. */
import { gateErrors } from '../errors.ts';
import { componentName } from '../names.ts';
import type { Reader } from '../reader.ts';

/** What is imported or exported. */
export const Extern = { function: 1, type: 3, instance: 5 } as const;
export type ExternKind = (typeof Extern)[keyof typeof Extern];

const EQUAL = 0;
const SUB_RESOURCE = 1;

export function readExternName(content: Reader): string {
  const { at } = content;
  const form = content.u8();
  // Two forms of the same, from different years.
  if (form > 1)
    throw content.refuse(gateErrors.component_feature, `A name of form ${form} is not allowed`, at);
  return componentName(content);
}

export function readExternType(content: Reader): ExternKind {
  const { at } = content;
  const kind = content.u8();
  switch (kind) {
    case Extern.function:
    case Extern.instance:
      content.u32();
      return kind;
    case Extern.type:
      typeBound(content);
      return kind;
    default:
      throw content.refuse(
        gateErrors.component_feature,
        `An import or export of kind ${kind} is not allowed`,
        at,
      );
  }
}

function typeBound(content: Reader): void {
  const { at } = content;
  const bound = content.u8();
  if (bound === EQUAL) content.u32();
  else if (bound !== SUB_RESOURCE) throw content.malformed(`A type bound of kind ${bound}`, at);
}
