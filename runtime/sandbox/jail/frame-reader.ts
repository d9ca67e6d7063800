/**
 * Cuts a stream of hostile bytes into frames.
 *
 * R1  At most one frame and one chunk are held; a frame longer than allowed is refused when its head has come.
 * R2  After a refusal nothing more is read.
 */
import { decodeFrame, type Frame, FrameError, frameLength, HEAD_BYTES } from './child/frames.ts';

export class FrameReader {
  readonly #bytesMax: () => number;
  readonly #take: (frame: Frame) => void;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** Of the frame whose head has come. */
  #length: number | undefined;
  #isBroken = false;

  /** `bytesMax` says how long the next frame may be. */
  constructor(bytesMax: () => number, take: (frame: Frame) => void) {
    this.#bytesMax = bytesMax;
    this.#take = take;
  }

  /** Throws {@link FrameError}, and what taking a frame throws. */
  push(chunk: Uint8Array): void {
    if (this.#isBroken) return; // R2
    this.#held.push(chunk);
    this.#heldBytes += chunk.byteLength;
    try {
      while (this.#next());
    } catch (thrown) {
      this.#isBroken = true;
      this.#held = [];
      throw thrown;
    }
  }

  #next(): boolean {
    if (this.#length === undefined) {
      if (this.#heldBytes < HEAD_BYTES) return false;
      this.#length = frameLength(this.#cut(HEAD_BYTES), this.#bytesMax()); // R1
    }
    if (this.#heldBytes < this.#length) return false;
    const body = this.#cut(this.#length);
    this.#length = undefined;
    this.#take(decodeFrame(body));
    return true;
  }

  #cut(length: number): Uint8Array {
    const [first] = this.#held;
    const all = this.#held.length === 1 && first !== undefined ? first : Buffer.concat(this.#held);
    this.#held = all.byteLength > length ? [all.subarray(length)] : [];
    this.#heldBytes -= length;
    return all.subarray(0, length);
  }
}
