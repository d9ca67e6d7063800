/** Reads one instruction of a function or of a constant expression. */
import { gateErrors } from '../errors.ts';
import type { Reader } from '../reader.ts';
import { Immediates, immediateOf, PREFIX_MISC, PREFIX_SIMD } from './opcodes.ts';
import { blockType, referenceType, valueType } from './value-types.ts';

/** V8 takes no more. */
const LABELS_MAX = 65_520;
const SELECT_TYPES_MAX = 1;
/** An alignment of 2⁴ bytes is that of the widest access; what has more bits is multi-memory. */
const ALIGN_MAX = 4;
/** A number after a prefix that no table has. */
const NUMBER_MAX = 0xff;

export interface Instruction {
  /** Where its opcode is. */
  at: number;
  /** One byte, or prefix << 8 | number. */
  code: number;
  /** Of what it names first: a local, a global, a function; of labels, the outermost. */
  index: number;
}

/** Reads the next one into `into`: there are millions of them. */
export function readInstruction(reader: Reader, into: Instruction): void {
  into.at = reader.at;
  into.index = 0;
  const byte = reader.u8();
  into.code = byte === PREFIX_MISC || byte === PREFIX_SIMD ? prefixed(reader, byte, into.at) : byte;
  switch (immediateOf(into.code)) {
    case Immediates.refused:
      throw refused(reader, into.code.toString(16), into.at);
    case Immediates.none:
      return;
    case Immediates.blockType:
      blockType(reader);
      return;
    case Immediates.label:
    case Immediates.index:
    case Immediates.local:
    case Immediates.global:
      into.index = reader.u32();
      return;
    case Immediates.labels:
      for (let left = reader.count(LABELS_MAX, 'labels') + 1; left > 0; left -= 1) {
        into.index = Math.max(into.index, reader.u32());
      }
      return;
    case Immediates.twoIndices:
      into.index = reader.u32();
      reader.u32();
      return;
    case Immediates.memory:
      memoryPlace(reader);
      return;
    case Immediates.s32:
      reader.skipSigned(32);
      return;
    case Immediates.s64:
      reader.skipSigned(64);
      return;
    case Immediates.bytes4:
      reader.skip(4);
      return;
    case Immediates.bytes8:
      reader.skip(8);
      return;
    case Immediates.bytes16:
      reader.skip(16);
      return;
    case Immediates.types:
      for (let left = reader.count(SELECT_TYPES_MAX, 'types'); left > 0; left -= 1) valueType(reader);
      return;
    case Immediates.reference:
      referenceType(reader);
      return;
    case Immediates.zero:
      firstMemory(reader);
      return;
    case Immediates.twoZeros:
      firstMemory(reader);
      firstMemory(reader);
      return;
    case Immediates.indexZero:
      into.index = reader.u32();
      firstMemory(reader);
      return;
    case Immediates.lane:
      reader.skip(1);
      return;
    case Immediates.memoryLane:
      memoryPlace(reader);
      reader.skip(1);
      return;
  }
}

function prefixed(reader: Reader, prefix: number, at: number): number {
  const number = reader.u32();
  if (number > NUMBER_MAX) throw refused(reader, `${prefix.toString(16)} ${number}`, at);
  return (prefix << 8) | number;
}

function memoryPlace(reader: Reader): void {
  const { at } = reader;
  if (reader.u32() > ALIGN_MAX) {
    throw reader.refuse(gateErrors.component_feature, 'An access to another memory than the first', at);
  }
  reader.u32();
}

function firstMemory(reader: Reader): void {
  const { at } = reader;
  if (reader.u8() !== 0) throw reader.refuse(gateErrors.component_feature, 'Several memories', at);
}

function refused(reader: Reader, code: string, at: number): Error {
  return reader.refuse(gateErrors.component_feature, `The instruction 0x${code} is not allowed`, at);
}
