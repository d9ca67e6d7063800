/**
 * A started process and the frames between it and the parent.
 *
 * H1  What it writes is bounded on both pipes; the first byte that is out of order ends it.
 * H2  It is ended by SIGKILL and nothing gentler, and counts as ended when its pipes are closed: then nothing of it runs.
 */
import { encodeFrame, type Frame, FrameError, type FrameKind } from './child/frames.ts';
import { FrameReader } from './frame-reader.ts';
import type { Launched } from './launch.ts';

const STDERR_CHARS_MAX = 2_000;
/** V8 writes a page when it dies; whoever writes more floods us. */
const STDERR_BYTES_MAX = 256 * 1024;

export interface ChannelEvents {
  readonly frameBytesMax: () => number;
  /** May throw {@link FrameError}. */
  readonly onFrame: (frame: Frame) => void;
  /** It said what it may not. It has been told to end. */
  readonly onBroken: (why: string) => void;
  /** Once, when nothing of it runs. */
  readonly onEnd: (how: string) => void;
}

export class Channel {
  readonly #launched: Launched;
  readonly #events: ChannelEvents;
  #stderr = '';
  #stderrBytes = 0;
  #isKilled = false;

  constructor(launched: Launched, events: ChannelEvents) {
    const { child } = launched;
    this.#launched = launched;
    this.#events = events;
    const reader = new FrameReader(events.frameBytesMax, events.onFrame);
    child.stdout?.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (thrown) {
        if (!(thrown instanceof FrameError)) throw thrown;
        this.#break(thrown.message);
      }
    });
    child.stderr?.on('data', (chunk: Buffer) => this.#note(chunk));
    let failed = '';
    child.once('error', ({ message }) => {
      failed = message;
      if (child.pid === undefined) void this.#ended(message);
    });
    child.once(
      'close',
      (code, signal) => void this.#ended(failed || `it ended with ${signal ?? `code ${code}`}`),
    );
  }

  /** Last lines that it wrote: for whoever looks for a fault, never for a decision. */
  get stderr(): string {
    return this.#stderr.trimEnd();
  }

  get isKilled(): boolean {
    return this.#isKilled;
  }

  send(kind: FrameKind, fields: readonly Uint8Array[]): void {
    if (!this.#isKilled) this.#launched.child.stdin?.write(encodeFrame(kind, fields));
  }

  /** H2. */
  kill(): void {
    this.#isKilled = true;
    this.#launched.child.kill('SIGKILL');
  }

  async #ended(how: string): Promise<void> {
    this.#isKilled = true;
    this.#events.onEnd(how);
    await this.#launched.cgroup?.remove();
  }

  #note(chunk: Buffer): void {
    this.#stderrBytes += chunk.byteLength;
    if (this.#stderrBytes > STDERR_BYTES_MAX)
      this.#break('more on its error stream than a dying process writes');
    else this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_CHARS_MAX);
  }

  /** H1. */
  #break(why: string): void {
    if (this.#isKilled) return;
    this.kill();
    this.#events.onBroken(why);
  }
}
