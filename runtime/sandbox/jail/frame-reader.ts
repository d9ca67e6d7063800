/**
 * Cuts a stream of hostile bytes into frames.
 *
 * R1  At most one frame and one chunk are held, in as many bytes as they have: crumbs do not count as buffers. A frame
 *     longer than allowed is refused when its head has come.
 * R2  After a refusal nothing more is read.
 */
import { decodeFrame, type Frame, FrameError, frameLength, HEAD_BYTES } from './child/frames.ts';

const ROOM_FIRST = 4_096;

export class FrameReader {
  readonly #bytesMax: () => number;
  readonly #take: (frame: Frame) => void;
  #held: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #heldBytes = 0;
  /** Of the frame whose head has come. */
  #length: number | undefined;
  #isBroken = false;

  /** `bytesMax` says how long the next frame may be. The fields that `take` is given are not written to again. */
  constructor(bytesMax: () => number, take: (frame: Frame) => void) {
    this.#bytesMax = bytesMax;
    this.#take = take;
  }

  /** Throws {@link FrameError}, and what taking a frame throws. */
  push(chunk: Uint8Array): void {
    if (this.#isBroken) return; // R2
    try {
      let at = 0;
      while (at < chunk.byteLength) at += this.#fill(chunk.subarray(at));
    } catch (thrown) {
      this.#isBroken = true;
      this.#held = new Uint8Array(0);
      throw thrown;
    }
  }

  /** Takes what the part at hand lacks, and says how much that was. */
  #fill(bytes: Uint8Array): number {
    const wanted = this.#length ?? HEAD_BYTES;
    const count = Math.min(wanted - this.#heldBytes, bytes.byteLength);
    this.#reserve(wanted, this.#heldBytes + count);
    this.#held.set(bytes.subarray(0, count), this.#heldBytes);
    this.#heldBytes += count;
    if (this.#heldBytes === wanted) this.#end(this.#held.subarray(0, wanted));
    return count;
  }

  #end(part: Uint8Array): void {
    this.#held = new Uint8Array(0);
    this.#heldBytes = 0;
    if (this.#length === undefined) {
      this.#length = frameLength(part, this.#bytesMax()); // R1
    } else {
      this.#length = undefined;
      this.#take(decodeFrame(part));
    }
  }

  /** R1: no more than twice what came, whatever the head says will. */
  #reserve(wanted: number, needed: number): void {
    if (needed <= this.#held.byteLength) return;
    const room = Math.min(wanted, Math.max(needed, ROOM_FIRST, this.#held.byteLength * 2));
    const wider = new Uint8Array(room);
    wider.set(this.#held.subarray(0, this.#heldBytes));
    this.#held = wider;
  }
}
