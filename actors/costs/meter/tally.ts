/**
 * What a call used: by the provider's own figures, and where it told none by size.
 *
 * Y1  Figures of the provider count as they are, where they are figures.
 * Y2  An estimate is no less than a token for each piece that came, and one for each four bytes: about what text has.
 * Y3  Where an answer breaks off before its figures, and its model may have thought out of sight, nobody knows what it made: it counts
 *     as much as it was allowed to.
 */
import type { CostRecord, Tokens } from '#schemas/cost';

const BYTES_PER_TOKEN = 4;
/** No call uses so many. */
const TOKENS_MAX = 1_000_000_000;

/** Tokens by class; absent: not told. */
export type Told = { readonly [Class in keyof Tokens]?: number };

/** What an event of a stream says. */
export interface Piece {
  readonly told?: Told;
  /** `told` is the last word. */
  readonly isLast?: boolean;
  /** Text that was made. */
  readonly made?: string;
  /** The model thinks, and does not show all of it. */
  readonly isThought?: boolean;
  /** What the provider calls the answer. */
  readonly id?: string;
}

export class Tally {
  #told: Told = {};
  #isTold = false;
  #pieces = 0;
  #bytes = 0;
  #isThought = false;
  #id: string | undefined;

  add({ told, isLast = false, made, isThought = false, id }: Piece): void {
    if (told !== undefined) this.#told = { ...this.#told, ...told };
    if (isLast) this.#isTold = true;
    if (made !== undefined && made !== '') {
      this.#pieces += 1;
      this.#bytes += Buffer.byteLength(made);
    }
    this.#isThought ||= isThought;
    this.#id ??= id;
  }

  get id(): string | undefined {
    return this.#id;
  }

  /** Y1, Y2, Y3. `requestBytes`: what was asked. `brokenOff`: of an answer that did not come to its end, what it was allowed to make. */
  result(
    requestBytes: number,
    brokenOff?: { readonly thinks: boolean; readonly outputMax: number },
  ): { readonly tokens: Tokens; readonly counted: CostRecord['counted'] } {
    const { input, cachedInput = 0, cacheWrite = 0, cacheWriteLong = 0, output = 0 } = this.#told;
    if (this.#isTold && input !== undefined) {
      const tokens = { input, cachedInput, cacheWrite, cacheWriteLong, output };
      return { tokens, counted: 'provider' };
    }
    const made = Math.max(this.#pieces, Math.ceil(this.#bytes / BYTES_PER_TOKEN));
    const mayHaveThought = brokenOff !== undefined && (brokenOff.thinks || this.#isThought);
    const unseen = mayHaveThought ? brokenOff.outputMax : 0;
    return {
      tokens: {
        input: input ?? Math.ceil(requestBytes / BYTES_PER_TOKEN),
        cachedInput,
        cacheWrite,
        cacheWriteLong,
        output: Math.max(output, made, unseen),
      },
      counted: 'estimated',
    };
  }
}

/** A count of tokens; undefined for what is none. */
export function tokenCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= TOKENS_MAX
    ? value
    : undefined;
}
