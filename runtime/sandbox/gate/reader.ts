/**
 * Reads the binary format of WebAssembly, of modules and components alike.
 *
 * R1  Nothing is read beyond the end of the part at hand, whatever a length in it says.
 * R2  Numbers have the bytes that the format allows and no bit more, so that every reader sees the same number.
 * R3  A refusal names the byte in the whole file.
 */
import type { ErrorKind, FabricError } from '#schemas/fabric-error';
import { gateErrors, refusal } from './errors.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Reader {
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly #module: string | undefined;
  #at: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length, module?: string) {
    this.bytes = bytes;
    this.#at = start;
    this.end = end;
    this.#module = module;
  }

  get at(): number {
    return this.#at;
  }

  get isDone(): boolean {
    return this.#at >= this.end;
  }

  /** R3. */
  refuse(kind: ErrorKind, what: string, offset = this.#at): FabricError {
    return refusal(kind, what, offset, this.#module);
  }

  malformed(what: string, offset = this.#at): FabricError {
    return this.refuse(gateErrors.component_malformed, what, offset);
  }

  u8(): number {
    const byte = this.#at < this.end ? this.bytes[this.#at] : undefined;
    if (byte === undefined) throw this.malformed('It ends in the middle'); // R1
    this.#at += 1;
    return byte;
  }

  peek(): number {
    const byte = this.u8();
    this.#at -= 1;
    return byte;
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw this.malformed('A number has more than 32 bits', this.#at - 1); // R2
  }

  /** A number of things, each of which takes a byte or more. */
  count(max: number, things: string): number {
    const at = this.#at;
    const count = this.u32();
    if (count > max) {
      throw this.refuse(gateErrors.component_too_large, `${count} ${things}, of which ${max} may be`, at);
    }
    if (count > this.end - this.#at) throw this.malformed(`${count} ${things} do not fit`, at); // R1
    return count;
  }

  /** Passes over a signed number of so many bits. */
  skipSigned(bits: 32 | 33 | 64): void {
    const bytesMax = Math.ceil(bits / 7);
    for (let count = 1; count <= bytesMax; count += 1) {
      const byte = this.u8();
      if (count === bytesMax && !isSignExtended(byte, bits - 7 * (bytesMax - 1))) break;
      if (byte < 0x80) return;
    }
    throw this.malformed(`A number has more than ${bits} bits`, this.#at - 1); // R2
  }

  skip(length: number): void {
    if (length > this.end - this.#at) throw this.malformed('It ends in the middle'); // R1
    this.#at += length;
  }

  /** The next so many bytes as a part of their own. */
  part(length: number): Reader {
    const start = this.#at;
    this.skip(length);
    return new Reader(this.bytes, start, this.#at, this.#module);
  }

  /** Another reader of what is left of this one. */
  again(): Reader {
    return new Reader(this.bytes, this.#at, this.end, this.#module);
  }

  text(): string {
    const at = this.#at;
    const length = this.u32();
    const start = this.#at;
    this.skip(length);
    try {
      return utf8.decode(this.bytes.subarray(start, this.#at));
    } catch {
      throw this.malformed('A name is not UTF-8', at);
    }
  }

  since(start: number): Uint8Array {
    return this.bytes.subarray(start, this.#at);
  }

  expectDone(part: string): void {
    if (!this.isDone) throw this.malformed(`There are bytes after the end of ${part}`);
  }
}

/** The last byte of a number: what is above its bits repeats the sign. */
function isSignExtended(byte: number, bits: number): boolean {
  const sign = (byte << 25) >> (24 + bits);
  return byte < 0x80 && (sign === 0 || sign === -1);
}
