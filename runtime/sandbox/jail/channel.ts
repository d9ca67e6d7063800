/**
 * A started process and the frames between it and the parent.
 *
 * H1  What it writes is bounded on both pipes; the first byte that is out of order ends it.
 * H2  It is ended by SIGKILL and nothing gentler, all of its processes at once, again and again until nothing of it runs.
 * H3  Nothing of it runs when its group is still (K5), or its pipes are closed, whichever is seen first: the kernel closes
 *     them only when it has the memory back, which takes longer than the rest of a kill. Then it has ended.
 */
import { FabricError } from '#schemas/fabric-error';
import type { Cgroup } from './cgroup.ts';
import { encodeFrame, FRAME, type Frame, FrameError, type FrameKind } from './child/frames.ts';
import { jailErrors } from './errors.ts';
import { FrameReader } from './frame-reader.ts';
import type { Launched } from './launch.ts';

/** After a kill its group is looked at: at first as often as a timer can, and never more seldom than the last. */
const LOOK_MS = { first: 1, last: 25, growth: 1.1 };
/** Of a start, on a machine that is busy with others. */
const START_MS_MAX = 30_000;
const STDERR_CHARS_MAX = 2_000;
/** V8 writes a page when it dies; whoever writes more floods us. */
const STDERR_BYTES_MAX = 256 * 1024;

export interface ChannelEvents {
  /** How long the next frame may be. */
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
  readonly #ready = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #isReady = false;
  #stderr = '';
  #stderrBytes = 0;
  #isKilled = false;
  #isTold = false;
  #looks: NodeJS.Timeout | undefined;

  private constructor(launched: Launched, events: ChannelEvents) {
    const { child } = launched;
    this.#launched = launched;
    this.#events = events;
    const reader = new FrameReader(events.frameBytesMax, (frame) => this.#take(frame));
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

  /** Resolves when it waits for its first order. Throws `jail_not_started`. */
  static async open(launched: Launched, events: ChannelEvents): Promise<Channel> {
    const channel = new Channel(launched, events);
    const timer = setTimeout(() => channel.kill(), START_MS_MAX);
    try {
      await Promise.all([launched.entered, channel.#ready.promise]);
      launched.share.rest();
      return channel;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves when it is gone, and so is what it had. */
  get ended(): Promise<void> {
    return this.#over.promise;
  }

  /** Last lines that it wrote: for whoever looks for a fault, never for a decision. */
  get stderr(): string {
    return this.#stderr.trimEnd().toWellFormed();
  }

  get isKilled(): boolean {
    return this.#isKilled;
  }

  send(kind: FrameKind, fields: readonly Uint8Array[]): void {
    if (!this.#isKilled) this.#launched.child.stdin?.write(encodeFrame(kind, fields));
  }

  /** H2. */
  kill(): void {
    if (this.#isKilled) return;
    this.#isKilled = true;
    const { child, cgroup, share } = this.#launched;
    share.take();
    cgroup?.kill();
    child.kill('SIGKILL');
    // Not at once: whoever ends it has yet to say why.
    if (cgroup !== undefined && this.#isReady) setImmediate(() => this.#look(cgroup, LOOK_MS.first));
  }

  /** H3. */
  #look(cgroup: Cgroup, pauseMs: number): void {
    if (this.#isTold) return;
    if (cgroup.isStill()) {
      this.#launched.share.yield();
      this.#tell('it was killed');
      return;
    }
    const again = (): void => {
      cgroup.kill(); // H2
      this.#look(cgroup, Math.min(LOOK_MS.last, pauseMs * LOOK_MS.growth));
    };
    this.#looks = setTimeout(again, pauseMs);
  }

  #tell(how: string): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#events.onEnd(how);
  }

  /** H1. */
  #take(frame: Frame): void {
    if (this.#isReady) {
      this.#events.onFrame(frame);
      return;
    }
    if (frame.kind !== FRAME.ready || frame.fields.length > 0) throw new FrameError('it was not ready');
    this.#isReady = true;
    this.#ready.resolve();
  }

  async #ended(how: string): Promise<void> {
    this.#isKilled = true;
    clearTimeout(this.#looks);
    this.#launched.share.rest();
    if (this.#isReady) this.#tell(how);
    else this.#ready.reject(this.#notStarted(how));
    this.#over.resolve();
    // A group that stays is met again, and told, where its parent goes (closeLayers).
    await this.#launched.cgroup?.remove().catch(() => undefined);
  }

  #notStarted(how: string): FabricError {
    const { stderr } = this;
    return new FabricError(jailErrors.jail_not_started, `A process of the jail did not start: ${how}`, {
      details: stderr === '' ? {} : { stderr },
    });
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
    if (this.#isReady) this.#events.onBroken(why);
  }
}
