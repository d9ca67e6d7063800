/**
 * The breaker of a provider: asked before a call is forwarded, told what the provider made of it.
 *
 * B1  While it is closed it is asked once a second at most: a provider that fails is told at once all the same, since who
 *     reports a failure hears what it did.
 * B2  A success is told where it says something: behind a failure, and of a probe. A probe always has an end.
 * B3  What a provider refuses (4xx) it answered.
 */
import type { Breakers } from '#actors/governor/breakers';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import type { Refusal } from './wire.ts';

const ASK_EVERY_MS = 1_000;
const FAILS_FROM = 500;

export type Passage =
  | { readonly ok: true; readonly isProbe: boolean }
  | { readonly ok: false; readonly refusal: Refusal };

export class Circuit {
  readonly #breakers: Breakers;
  readonly #id: string;
  readonly #failed: (error: WireError) => void;
  #closedUntil = 0;
  #hasFailed = false;

  /** `id`: `provider:openai`. `failed` hears of words that did not reach the breaker. */
  constructor(breakers: Breakers, id: string, failed: (error: WireError) => void) {
    this.#breakers = breakers;
    this.#id = id;
    this.#failed = failed;
  }

  /** Throws where the breaker does not answer. */
  async may(now: number = Date.now()): Promise<Passage> {
    if (now < this.#closedUntil) return { ok: true, isProbe: false };
    try {
      const { isProbe } = await this.#breakers.may(this.#id);
      if (!isProbe) this.#closedUntil = now + ASK_EVERY_MS;
      return { ok: true, isProbe };
    } catch (thrown) {
      if (!(thrown instanceof FabricError) || thrown.code !== 'breaker_open') throw thrown;
      return { ok: false, refusal: { kind: 'provider_away', message: thrown.message } };
    }
  }

  /** B3. */
  answered(status: number, isProbe: boolean): void {
    if (status >= FAILS_FROM) this.tell(false, isProbe, `HTTP ${status}`);
    else this.tell(true, isProbe);
  }

  /** B1, B2. Returns at once. */
  tell(ok: boolean, isProbe: boolean, reason?: string): void {
    if (ok && !isProbe && !this.#hasFailed) return;
    this.#hasFailed = !ok;
    if (!ok) this.#closedUntil = 0;
    this.#breakers.report(this.#id, ok, reason).catch((thrown: unknown) => this.#failed(toWireError(thrown)));
  }
}
