/** The child's end of the pipes. It waits in system calls: a guest is synchronous, and nothing else runs here. */
import { readSync, writeSync } from 'node:fs';
import { decodeFrame, encodeFrame, type Frame, type FrameKind, frameLength, HEAD_BYTES } from './frames.ts';

const STDIN = 0;
const STDOUT = 1;
/** The parent is trusted; the bound only keeps a mistake from filling the memory. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024;

/** Undefined when the parent has closed its end. */
export function receive(): Frame | undefined {
  const head = readExactly(HEAD_BYTES);
  if (head === undefined) return undefined;
  const body = readExactly(frameLength(head, FRAME_BYTES_MAX));
  return body === undefined ? undefined : decodeFrame(body);
}

export function send(kind: FrameKind, fields: readonly Uint8Array[]): void {
  const bytes = encodeFrame(kind, fields);
  for (let at = 0; at < bytes.byteLength; ) at += writeSync(STDOUT, bytes, at);
}

function readExactly(length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const count = readSync(STDIN, bytes, at, length - at, null);
    if (count === 0) return undefined;
    at += count;
  }
  return bytes;
}
