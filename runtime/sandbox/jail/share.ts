/**
 * How much of the processor a process of the jail has: by what it does at the moment.
 *
 * W1  A short run weighs as much as one thread of the node.
 * W2  What takes long (a start, a long run, the end of a killed process) is idle: it gives way at once when anything else on
 *     the machine wakes up, and has whatever nobody wants. A small weight alone would not do: the others would still wait
 *     for the end of its slice.
 * W3  Nothing starves: what got less than a sixteenth of a processor lately is not idle any more but weighs a sixteenth of
 *     a short run, until it gets twice that.
 */

export type Share = 'usual' | 'low' | 'idle';

/** The group of a process, as far as its share goes. */
export interface Shared {
  setShare(share: Share): void;
  /** How long its processes have run; 0 where the machine does not tell. */
  ranMs(): number;
}

/** So long it is watched before it counts as starving: shorter is a matter of chance, longer a part of a time limit. */
const LOOK_MS = 250;
const LOW_PART = 1 / 16;

/** W3: after so long, of which it ran so much. */
export function yieldingShare(share: Share, ranMs: number, elapsedMs: number): Share {
  if (ranMs < elapsedMs * LOW_PART) return 'low';
  return ranMs > elapsedMs * LOW_PART * 2 ? 'idle' : share;
}

/** Gives a process its share. Without a group there is nothing to give. */
export class ProcessorShare {
  readonly #group: Shared | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(group: Shared | undefined) {
    this.#group = group;
  }

  /** W1. */
  take(): void {
    this.rest();
    this.#group?.setShare('usual');
  }

  /** W2, until it takes its share again or rests. */
  yield(): void {
    const group = this.#group;
    if (group === undefined || this.#watch !== undefined) return;
    let share: Share = 'idle';
    let at = performance.now();
    let ranMs = group.ranMs();
    group.setShare(share);
    this.#watch = setInterval(() => {
      const [now, ran] = [performance.now(), group.ranMs()];
      share = yieldingShare(share, ran - ranMs, now - at); // W3
      [at, ranMs] = [now, ran];
      group.setShare(share);
    }, LOOK_MS).unref();
  }

  /** It has nothing to do, and keeps what it has. */
  rest(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }
}
