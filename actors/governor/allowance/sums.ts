/**
 * What may be taken of an allowance without asking anybody: sums, and no I/O.
 *
 * L1  What is spent and what is taken by work under way, together, stay below the line: what the ledger holds by its last answer.
 * L2  And below what a draw leaves that has no answer yet, or whose answer was lost: it may be in force.
 * L3  A draw names sums, so what it says is right whichever of those before it arrived.
 */
import { least, most, plus, rest } from '#machines/ledger/room';
import { AMOUNT_MAX, type Amounts } from '#schemas/budget';

const NOTHING: Amounts = { micros: 0, tokens: 0 };
const AMOUNTS_MAX: Amounts = { micros: AMOUNT_MAX, tokens: AMOUNT_MAX };
const NO_DOUBT: Amounts = { micros: Number.POSITIVE_INFINITY, tokens: Number.POSITIVE_INFINITY };

/** What a draw says. */
export interface Draft {
  readonly spent: Amounts;
  readonly hold: Amounts;
  readonly upTo: Amounts;
}

export class AllowanceSums {
  /** By work that has come to its end. */
  spent: Amounts = NOTHING;
  /** By work under way, each as much as it may spend. */
  taken: Amounts = NOTHING;
  /** L1: what the ledger knew of `spent`, and what it held beside that. */
  #line: Amounts = NOTHING;
  /** L2. */
  #doubt: Amounts = NO_DOUBT;

  /** False where it does not fit, and then nothing is taken. */
  take(bound: Amounts): boolean {
    const free = this.free();
    if (bound.micros > free.micros || bound.tokens > free.tokens) return false;
    this.reserve(bound);
    return true;
  }

  free(): Amounts {
    return rest(least(this.#line, this.#doubt), plus(this.spent, this.taken));
  }

  /** Taken, though it may not fit: the next draw asks for it. */
  reserve(bound: Amounts): void {
    this.taken = plus(this.taken, bound);
  }

  /** Work has ended: it had taken `bound` and spent so much. */
  end(bound: Amounts, spent: Amounts): void {
    this.taken = rest(this.taken, bound);
    this.spent = plus(this.spent, spent);
  }

  /** What the ledger is to be told now, where `spare` is wanted for work to come. */
  draft(spare: Amounts): Draft {
    const left = rest(this.#line, this.spent);
    const upTo = least(plus(this.taken, spare), AMOUNTS_MAX);
    // What is free beyond that goes back; what is free within it may be taken while the draw is under way.
    const draft = { spent: this.spent, hold: most(this.taken, least(left, upTo)), upTo };
    this.#doubt = least(this.#doubt, plus(draft.spent, draft.hold));
    return draft;
  }

  /** The same, where nothing may be wanted that is not held for sure. */
  draftWithin(): Draft {
    const hold = least(this.taken, rest(least(this.#line, this.#doubt), this.spent));
    const draft = { spent: this.spent, hold, upTo: hold };
    this.#doubt = least(this.#doubt, plus(draft.spent, draft.hold));
    return draft;
  }

  /** Whether it wants more than is left of what the ledger held by its last answer. */
  isGrowing({ spent, hold, upTo }: Draft): boolean {
    const more = rest(most(hold, upTo), rest(this.#line, spent));
    return more.micros > 0 || more.tokens > 0;
  }

  /** What the ledger knows and holds, by its answer to the latest draft. */
  answered({ spent, hold }: { readonly spent: Amounts; readonly hold: Amounts }): void {
    this.#line = plus(spent, hold);
    this.#doubt = NO_DOUBT;
  }
}
