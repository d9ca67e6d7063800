/**
 * The connection of a process to the server.
 *
 * K1  What is sent arrives in the order it was sent, as over TCP, but for what is lost or held up with a connection that
 *     broke: its sender is told nothing certain.
 * K2  Answers may overtake each other; deliveries of one subscription do not.
 */
import type { Process } from './process.ts';
import type { World } from './world.ts';

/** How the network behaves at this moment; shares of messages. */
export interface Weather {
  latencyMsMax: number;
  /** Never arrives. */
  lost: number;
  /** Arrives, but its answer does not. */
  unanswered: number;
  /** Arrives long after whoever sent it has given up. */
  late: number;
  /** Arrives twice. */
  twice: number;
}

const LATENCY_MS_MIN = 0.05;
const LATE_MS_MAX = 9_000;
const FIFO_GAP_MS = 0.001;

export interface RequestOptions<T> {
  readonly name: string;
  /** What the server does; what it throws is the answer. Undefined: the server is away. */
  readonly handle: () => T;
  readonly timeoutMs: number;
  /** False: a late copy must not be taken for an answer. */
  readonly lateAnswers?: boolean;
  /** True where the client itself may send it again. */
  readonly repeatable?: boolean;
}

/** The answer did not come in time. */
export class NoAnswer extends Error {}

export class Link {
  readonly #world: World;
  readonly #process: Process;
  readonly #weather: Weather;
  readonly #serverUp: () => boolean;
  #cut: 'none' | 'drop' | 'hold' = 'none';
  #held: (() => void)[] = [];
  #upAt = 0;
  /** What was to arrive later than this died with its sender. */
  #lostAfter = Number.POSITIVE_INFINITY;
  /** Requests whose end is not known. */
  #open = 0;
  /** Messages under way to the server, and deliveries from it. */
  #flying = 0;

  constructor(process: Process, weather: Weather, serverUp: () => boolean) {
    this.#world = process.world;
    this.#process = process;
    this.#weather = weather;
    this.#serverUp = serverUp;
    process.onDeath(() => {
      this.#held = [];
      if (this.#world.chance.is(0.5)) this.#lostAfter = this.#world.now + this.#latency();
    });
  }

  get flying(): number {
    return this.#flying + (this.#process.isAlive ? this.#held.length + this.#open : 0);
  }

  /** A partition: what is sent meanwhile is lost, or comes once it heals. */
  cut(mode: 'drop' | 'hold'): void {
    this.#cut = mode;
  }

  heal(): void {
    this.#cut = 'none';
    this.reconnect();
  }

  /** The server is there again: subscriptions are made anew. */
  reconnect(): void {
    if (this.#cut !== 'none') return;
    const held = this.#held;
    this.#held = [];
    for (const send of held) send();
  }

  /** To the server (K1). `arrive` is told whether its answer may come back. */
  up(name: string, arrive: (answered: boolean) => void, lateAnswers = true, repeatable = false): void {
    if (!this.#process.isAlive) return;
    const { chance } = this.#world;
    if (this.#cut === 'hold') {
      this.#held.push(() => this.#fly(name, arrive, true));
      return;
    }
    const weather = this.#weather;
    if (this.#cut === 'drop' || chance.is(weather.lost)) {
      this.#world.note(`lost ${this.#process.name} ${name}`);
      return;
    }
    if (chance.is(weather.late)) {
      const delayMs = chance.skewed(1, LATE_MS_MAX);
      const answered = lateAnswers && chance.is(0.3);
      this.#world.note(`late ${this.#process.name} ${name} ${delayMs.toFixed(1)}`);
      this.#arriveAfter(delayMs, () => arrive(answered));
      return;
    }
    this.#fly(name, arrive, !chance.is(weather.unanswered));
    if (repeatable && chance.is(weather.twice)) this.#fly(`${name} again`, arrive, true);
  }

  #fly(name: string, arrive: (answered: boolean) => void, answered: boolean): void {
    const { now } = this.#world;
    this.#upAt = Math.max(this.#upAt + FIFO_GAP_MS, now + this.#latency());
    this.#arriveAfter(this.#upAt - now, () => {
      this.#world.note(`up ${this.#process.name} ${name}${answered ? '' : ' unanswered'}`);
      arrive(answered);
    });
  }

  #arriveAfter(delayMs: number, arrive: () => void): void {
    this.#flying += 1;
    this.#world.after(delayMs, () => {
      this.#flying -= 1;
      if (!this.#serverUp() || this.#world.now > this.#lostAfter) return;
      arrive();
    });
  }

  /** To the server, and again after every break until it is there: what a client does with its subscriptions. */
  signal(name: string, arrive: () => void): void {
    if (!this.#process.isAlive) return;
    const send = (): void => this.signal(name, arrive);
    if (this.#cut !== 'none') {
      this.#held.push(send);
      return;
    }
    const { now } = this.#world;
    this.#upAt = Math.max(this.#upAt + FIFO_GAP_MS, now + this.#latency());
    this.#flying += 1;
    this.#world.after(this.#upAt - now, () => {
      this.#flying -= 1;
      if (!this.#process.isAlive) return;
      if (this.#serverUp()) arrive();
      else this.#held.push(send);
    });
  }

  /** To the process; in no order with others. */
  down(name: string, arrive: () => void): void {
    if (this.#cut === 'drop') return;
    const fly = (): void => {
      this.#world.after(this.#latency(), () => {
        if (this.#cut === 'drop') return;
        this.#world.note(`down ${this.#process.name} ${name}`);
        this.#process.deliver(arrive);
      });
    };
    if (this.#cut === 'hold') this.#held.push(fly);
    else fly();
  }

  /** Deliveries of one subscription, in order (K2). */
  stream(): (name: string, arrive: () => void) => boolean {
    let at = 0;
    return (name, arrive) => {
      if (this.#cut !== 'none') return false;
      const { now } = this.#world;
      at = Math.max(at + FIFO_GAP_MS, now + this.#latency());
      this.#flying += 1;
      this.#world.after(at - now, () => {
        this.#flying -= 1;
        this.#world.note(`down ${this.#process.name} ${name}`);
        this.#process.deliver(arrive);
      });
      return true;
    };
  }

  get isCut(): boolean {
    return this.#cut !== 'none';
  }

  /** Asks the server. Rejects with {@link NoAnswer}, or with what the server answered. A dead process waits for ever. */
  request<T>(options: RequestOptions<T>): Promise<T> {
    const { name, handle, timeoutMs, lateAnswers = true, repeatable = false } = options;
    return new Promise((resolve, reject) => {
      const { clock } = this.#process;
      let isOpen = true;
      const end = (settle: () => void): void => {
        if (!isOpen) return;
        isOpen = false;
        this.#open -= 1;
        clock.clearTimer(timer);
        settle();
      };
      this.#open += 1;
      const timer = clock.setTimer(() => end(() => reject(new NoAnswer(`${name}: no answer`))), timeoutMs);
      const arrive = (answered: boolean): void => {
        let settle: () => void;
        try {
          const result = handle();
          settle = () => resolve(result);
        } catch (error) {
          settle = () => reject(error);
        }
        if (answered) this.down(name, () => end(settle));
      };
      this.up(name, arrive, lateAnswers, repeatable);
    });
  }

  #latency(): number {
    return LATENCY_MS_MIN + this.#world.chance.skewed(0, this.#weather.latencyMsMax);
  }
}
