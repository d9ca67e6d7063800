/** Writes the binary format of WebAssembly. */

const encoder = new TextEncoder();
const ROOM_FIRST = 256;

export class Writer {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(room = ROOM_FIRST) {
    this.#bytes = new Uint8Array(room);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written so far: a view, which the next write may outdate. */
  get written(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  u8(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length] = byte;
    this.#length += 1;
  }

  u32(value: number): void {
    let left = value >>> 0;
    while (left >= 0x80) {
      this.u8((left & 0x7f) | 0x80);
      left >>>= 7;
    }
    this.u8(left);
  }

  /** A signed number of 32 bits, in the form that both widths of constants have. */
  s32(value: number): void {
    let left = value;
    while (left < -0x40 || left > 0x3f) {
      this.u8((left & 0x7f) | 0x80);
      left >>= 7;
    }
    this.u8(left & 0x7f);
  }

  raw(bytes: ArrayLike<number>): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Bytes with their length before them. */
  sized(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  text(text: string): void {
    this.sized(encoder.encode(text));
  }

  section(id: number, content: Uint8Array): void {
    this.u8(id);
    this.sized(content);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const wider = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    wider.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = wider;
  }
}
