/** Segments of tables, in the eight forms that the format has for them. */
import { gateErrors } from '../errors.ts';
import type { Reader } from '../reader.ts';
import type { Writer } from '../writer.ts';
import { copyConstant } from './constant.ts';
import { referenceType } from './value-types.ts';

const SEGMENTS_MAX = 100_000;
const ELEMENTS_MAX = 10_000_000;
/** Bits of a segment's form. */
const NOT_ACTIVE = 1;
/** Of an active one: it names its table. Of the others: it only declares references. */
const EXPLICIT = 2;
const EXPRESSIONS = 4;
const FUNCTIONS = 0x00;

/** Copies the section, with the globals at their new places. */
export function copyElements(content: Reader, out: Writer, globalAt: (index: number) => number): void {
  const count = content.count(SEGMENTS_MAX, 'segments of tables');
  out.u32(count);
  for (let left = count; left > 0; left -= 1) copySegment(content, out, globalAt);
}

function copySegment(content: Reader, out: Writer, globalAt: (index: number) => number): void {
  const { at } = content;
  const form = content.u32();
  if (form > 7) throw content.malformed(`A segment of form ${form}`, at);
  out.u32(form);
  const isActive = (form & NOT_ACTIVE) === 0;
  if (isActive && (form & EXPLICIT) !== 0) out.u32(content.u32());
  if (isActive) copyConstant(content, out, globalAt);
  if ((form & (NOT_ACTIVE | EXPLICIT)) !== 0) out.u8(kindOf(content, form));
  const elements = content.count(ELEMENTS_MAX, 'elements');
  out.u32(elements);
  for (let each = 0; each < elements; each += 1) {
    if ((form & EXPRESSIONS) === 0) out.u32(content.u32());
    else copyConstant(content, out, globalAt);
  }
}

function kindOf(content: Reader, form: number): number {
  const kind = content.peek();
  if ((form & EXPRESSIONS) !== 0) {
    referenceType(content);
    return kind;
  }
  if (kind !== FUNCTIONS)
    throw content.refuse(gateErrors.component_feature, 'Elements that are no functions');
  return content.u8();
}
