/** Type definitions of a component. What they say is the validator's business; here only their names count (C2). */
import { gateErrors } from '../errors.ts';
import { componentName } from '../names.ts';
import type { Reader } from '../reader.ts';
import { readAlias } from './aliases.ts';
import { readExternName, readExternType } from './extern-types.ts';

const TYPES_MAX = 10_000;
const FIELDS_MAX = 1_000;
const DEPTH_MAX = 10;

/** Of a definition. */
const Forms = {
  resource: 0x3f,
  function: 0x40,
  component: 0x41,
  instance: 0x42,
  borrow: 0x68,
  own: 0x69,
  result: 0x6a,
  option: 0x6b,
  enum: 0x6d,
  flags: 0x6e,
  tuple: 0x6f,
  list: 0x70,
  variant: 0x71,
  record: 0x72,
} as const;
/** bool, numbers, char and string, as one byte each. */
const PRIMITIVE_FIRST = 0x73;
const PRIMITIVE_LAST = 0x7f;
const RESOURCE_I32 = 0x7f;

/** In the type of an instance or a component. */
const Declarations = { type: 1, alias: 2, import: 3, export: 4 } as const;

export function readTypes(content: Reader): void {
  for (let left = content.count(TYPES_MAX, 'types'); left > 0; left -= 1) readType(content, 0);
}

function readType(content: Reader, depth: number): void {
  const { at } = content;
  if (depth > DEPTH_MAX) {
    throw content.refuse(gateErrors.component_too_large, `Types nested deeper than ${DEPTH_MAX}`, at);
  }
  const form = content.u8();
  if (form >= PRIMITIVE_FIRST && form <= PRIMITIVE_LAST) return;
  switch (form) {
    case Forms.resource:
      resource(content);
      return;
    case Forms.function:
      functionType(content);
      return;
    case Forms.component:
    case Forms.instance:
      declarations(content, depth);
      return;
    case Forms.borrow:
    case Forms.own:
      content.u32();
      return;
    case Forms.result:
      optional(content);
      optional(content);
      return;
    case Forms.option:
    case Forms.list:
      valueType(content);
      return;
    case Forms.enum:
    case Forms.flags:
      each(content, 'names', () => componentName(content));
      return;
    case Forms.tuple:
      each(content, 'types', () => valueType(content));
      return;
    case Forms.variant:
      each(content, 'cases', () => variantCase(content));
      return;
    case Forms.record:
      each(content, 'fields', () => field(content));
      return;
    default:
      throw content.refuse(
        gateErrors.component_feature,
        `The type form 0x${form.toString(16)} is not allowed`,
        at,
      );
  }
}

function resource(content: Reader): void {
  const { at } = content;
  if (content.u8() !== RESOURCE_I32) {
    throw content.refuse(gateErrors.component_feature, 'A resource that is no i32', at);
  }
  if (flag(content)) content.u32();
}

function functionType(content: Reader): void {
  each(content, 'parameters', () => field(content));
  const hasNone = flag(content);
  if (!hasNone) {
    valueType(content);
    return;
  }
  each(content, 'results', () => field(content));
}

function declarations(content: Reader, depth: number): void {
  for (let left = content.count(TYPES_MAX, 'declarations'); left > 0; left -= 1) {
    const { at } = content;
    const kind = content.u8();
    switch (kind) {
      case Declarations.type:
        readType(content, depth + 1);
        break;
      case Declarations.alias:
        readAlias(content);
        break;
      case Declarations.import:
      case Declarations.export:
        readExternName(content);
        readExternType(content);
        break;
      default:
        throw content.refuse(
          gateErrors.component_feature,
          `A declaration of kind ${kind} is not allowed`,
          at,
        );
    }
  }
}

function variantCase(content: Reader): void {
  componentName(content);
  optional(content);
  const { at } = content;
  if (content.u8() !== 0) throw content.malformed('A case that refines another', at);
}

function field(content: Reader): void {
  componentName(content);
  valueType(content);
}

/** The index of a definition, or a primitive: one byte with the sign bit of a 33-bit number. */
function valueType(content: Reader): void {
  const { at } = content;
  const first = content.peek();
  const isPrimitive = first >= 0x40 && first < 0x80;
  if (!isPrimitive) {
    content.skipSigned(33);
    return;
  }
  if (content.u8() < PRIMITIVE_FIRST) {
    throw content.refuse(gateErrors.component_feature, `The type 0x${first.toString(16)} is not allowed`, at);
  }
}

function optional(content: Reader): void {
  if (flag(content)) valueType(content);
}

function flag(content: Reader): boolean {
  const { at } = content;
  const byte = content.u8();
  if (byte > 1) throw content.malformed('Neither there nor absent', at);
  return byte === 1;
}

function each(content: Reader, things: string, read: () => unknown): void {
  for (let left = content.count(FIELDS_MAX, things); left > 0; left -= 1) read();
}
