/**
 * How much of the processor all processes of a jail have together.
 *
 * W1  While only long runs are under way, the jail yields to everything else on the machine, the node first.
 * W2  While a short run is under way, the jail weighs as much as one thread of the node; inside of it a long run
 *     weighs a sixteenth of a short one.
 */

export type Share = 'usual' | 'low';

/** A run, while it lasts. */
export interface Turn {
  /** It takes long. */
  lengthen(): void;
  /** It is about to end. */
  shorten(): void;
  end(): void;
}

export class Crowd {
  readonly #setShare: (share: Share) => void;
  #share: Share = 'usual';
  #short = 0;
  #long = 0;

  constructor(setShare: (share: Share) => void) {
    this.#setShare = setShare;
  }

  begin(): Turn {
    let isLong = false;
    let isOver = false;
    this.#change(1, 0);
    return {
      lengthen: () => {
        if (isLong || isOver) return;
        isLong = true;
        this.#change(-1, 1);
      },
      shorten: () => {
        if (!isLong || isOver) return;
        isLong = false;
        this.#change(1, -1);
      },
      end: () => {
        if (isOver) return;
        isOver = true;
        if (isLong) this.#change(0, -1);
        else this.#change(-1, 0);
      },
    };
  }

  #change(short: number, long: number): void {
    this.#short += short;
    this.#long += long;
    const share = this.#long > 0 && this.#short === 0 ? 'low' : 'usual'; // W1, W2
    if (share === this.#share) return;
    this.#share = share;
    this.#setShare(share);
  }
}
