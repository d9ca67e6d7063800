/**
 * What the entries of one commit find and leave. An entry costs references to what is never changed, not an object:
 * hardly any commit diverges, and only then does anyone ask.
 */
import type { LiveState, Machine } from '#runtime/machine/types';
import type { Draft } from '#runtime/shard/draft';
import type { ActorTable, Cell } from '#runtime/shard/table';
import type { Entry } from '#schemas/commit';
import type { ActorView } from './report.ts';

type List = 'mail' | 'effects' | 'timers';
type Mark = Readonly<Record<List | 'n', number>>;

export class Founds {
  readonly #actors: ActorTable;
  readonly #addresses: string[] = [];
  readonly #machines: (Machine | undefined)[] = [];
  readonly #states: (LiveState | undefined)[] = [];
  readonly #failures: Cell['failed'][] = [];
  /** Where the lists of the draft stood before entry `n`, for each from which on they stood elsewhere: most never move. */
  readonly #marks: Mark[] = [];
  #moved = 0;

  constructor(actors: ActorTable) {
    this.#actors = actors;
  }

  get size(): number {
    return this.#addresses.length;
  }

  /** Has to be called before the step of each entry. */
  add({ actor }: Entry, { mail, effects, timers }: Draft): void {
    const slot = this.#actors.peek(actor);
    const cell = typeof slot === 'object' ? slot : undefined;
    this.#addresses.push(actor);
    this.#machines.push(cell?.machine);
    this.#states.push(cell?.state);
    this.#failures.push(cell?.failed);
    const moved = mail.length + effects.length + timers.length;
    if (moved === this.#moved) return;
    this.#moved = moved;
    const n = this.#addresses.length - 1;
    this.#marks.push({ n, mail: mail.length, effects: effects.length, timers: timers.length });
  }

  /** Number of the entry that made item `at` of a list, or makes it no more: of those, the actor's. */
  makerOf(list: List, at: number, actor: string | undefined): number {
    let first: number | undefined;
    for (let n = 0; n < this.size; n += 1) {
      const end = n + 1 < this.size ? this.#startOf(list, n + 1) : Number.POSITIVE_INFINITY;
      if (this.#startOf(list, n) > at || at > end) continue;
      if (this.#addresses[n] === actor) return n;
      first ??= n;
    }
    return first ?? 0;
  }

  #startOf(list: List, n: number): number {
    return this.#marks.findLast((mark) => mark.n <= n)?.[list] ?? 0;
  }

  /** The actor of entry `n` before its step; undefined where none lived. */
  before(n: number): ActorView | undefined {
    return viewed(this.#machines[n], this.#states[n], this.#failures[n]);
  }

  /** After its step: what the actor's next entry found, or what it is now, while the commit is the last. */
  after(n: number): ActorView | undefined {
    const address = this.#addresses[n];
    if (address === undefined) return undefined;
    const next = this.#addresses.indexOf(address, n + 1);
    return next < 0 ? viewOf(this.#actors, address) : this.before(next);
  }
}

/** An actor as it is now; undefined where none lives. */
export function viewOf(actors: ActorTable, address: string): ActorView | undefined {
  const cell = actors.peek(address);
  return typeof cell === 'object' ? viewed(cell.machine, cell.state, cell.failed) : undefined;
}

function viewed(
  machine: Machine | undefined,
  state: LiveState | undefined,
  failed: Cell['failed'],
): ActorView | undefined {
  if (machine === undefined || state === undefined) return undefined;
  const { status, value, context } = state;
  return { machine: machine.ref, status: failed === undefined ? status : 'error', value, context };
}
