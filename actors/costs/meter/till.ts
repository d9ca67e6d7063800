/**
 * Where calls are paid: held before they are forwarded, charged when it is known what they took.
 *
 * V1  Nothing is forwarded for which nothing is held, unless the config says that no budget is wanted.
 * V2  What is held is no less than the call can cost: its size in bytes as tokens of the dearest way in, and all the output it may
 *     have.
 * V3  Every call that was forwarded is settled once: charged what it took, or given back where it took nothing. That is tried until
 *     it is done; a meter that closes waits for it.
 */
import type { Taken } from '#actors/governor/allowance/allowance';
import { Allowances } from '#actors/governor/allowance/allowances';
import type { Budgets } from '#actors/governor/budgets';
import { amountMicros, boundMicros, dearestInput, tokensOf } from '#machines/costs/amount';
import type { Degrade } from '#schemas/budget';
import type { CostRecord, Tokens } from '#schemas/cost';
import { FabricError, type WireError } from '#schemas/fabric-error';
import type { PriceRow } from '#schemas/price';
import type { CostsClient } from '../client.ts';
import type { PriceList } from '../price-list.ts';
import type { Payer } from './route.ts';
import { Settling } from './settling.ts';
import type { Refusal } from './wire.ts';

/** An account that is there stays, mostly; one that is not may be opened at any moment. */
const ACCOUNT_KNOWN_MS = 60_000;
const ACCOUNT_ABSENT_MS = 2_000;
const ACCOUNTS_MAX = 10_000;
const NO_TOKENS: Tokens = { input: 0, cachedInput: 0, cacheWrite: 0, cacheWriteLong: 0, output: 0 };

export interface TillParts {
  readonly costs: CostsClient;
  readonly prices: PriceList;
  /** Undefined where no budget is wanted. */
  readonly budgets: Budgets | undefined;
  readonly isUnpricedForwarded: boolean;
  /** How long a call may be under way. */
  readonly leaseMs: number;
  /** For how many calls more than are under way an account has to hold, so that they need not wait for it. */
  readonly callsAhead: number;
  /** What is held ahead returns after this long without a call. */
  readonly idleMs: number;
  readonly bytesPerToken: number;
  readonly outputMax: number;
  readonly told: (news: TillNews) => void;
}

/** What became of a call. */
export type TillNews =
  | { readonly event: 'charged'; readonly record: CostRecord }
  | {
      readonly event: 'uncharged';
      readonly id: string;
      readonly error: WireError;
      readonly willTry: boolean;
    };

/** A call, before it is forwarded. */
export interface Call {
  readonly id: string;
  /** As the price table knows it. */
  readonly provider: string;
  readonly model: string;
  readonly payer: Payer;
  readonly bodyBytes: number;
  readonly outputMax: number | undefined;
  readonly choices: number;
  /** False where an answer holds no tokens of its own. */
  readonly hasOutput: boolean;
  readonly traceparent: string;
}

export interface Held {
  readonly call: Call;
  readonly row: PriceRow | undefined;
  /** Undefined where nothing is held. */
  readonly taken: Taken | undefined;
  readonly degrade: Degrade | null;
}

export interface Used {
  readonly tokens: Tokens;
  readonly counted: CostRecord['counted'];
  readonly outcome: CostRecord['outcome'];
}

export class Till implements AsyncDisposable {
  readonly #parts: TillParts;
  readonly #accounts = new Map<string, { readonly currency: string | undefined; readonly until: number }>();
  readonly #settling: Settling;
  readonly #allowances: Allowances | undefined;

  constructor(parts: TillParts) {
    const { budgets, leaseMs, callsAhead, idleMs, told } = parts;
    this.#parts = parts;
    this.#settling = new Settling((id, error, willTry) => told({ event: 'uncharged', id, error, willTry }));
    this.#allowances =
      budgets &&
      new Allowances(budgets, {
        leaseMs,
        ahead: callsAhead,
        idleMs,
        settle: (id, work) => this.#settling.settle(id, work),
      });
  }

  /** V1, V2. */
  async hold(
    call: Call,
  ): Promise<{ readonly ok: true; readonly held: Held } | { readonly ok: false; readonly refusal: Refusal }> {
    const { prices, budgets, isUnpricedForwarded } = this.#parts;
    const quoted = await prices.quote(call.provider, call.model, Date.now());
    if (!quoted.found && !isUnpricedForwarded)
      return no('unknown_model', `The meter forwards nothing without a price: ${quoted.reason}.`);
    const row = quoted.found ? quoted.row : undefined;
    if (budgets === undefined || row === undefined)
      return { ok: true, held: { call, row, taken: undefined, degrade: null } };
    const payer = await this.#payingAccount(budgets, call.payer);
    if (payer === undefined)
      return no(
        'no_budget',
        `No budget pays for this: there is no account ${accountsOf(call.payer).join(', ')}.`,
      );
    if (payer.currency !== row.currency)
      return no(
        'no_budget',
        `Budget ${payer.account} is in ${payer.currency}, the price of ${call.model} in ${row.currency}.`,
      );
    const bound = this.#bound(call, row);
    const micros = boundMicros(bound, row.perMillion);
    if (micros === undefined) return no('no_budget', 'No budget holds as much as this call might cost.');
    const amount = { micros, tokens: tokensOf(bound) };
    try {
      const answer = await this.#allowances?.take(payer.account, amount);
      if (answer?.granted === false) return no('no_budget', `Budget exhausted: ${answer.error.message}`);
      return { ok: true, held: { call, row, taken: answer, degrade: answer?.degrade ?? null } };
    } catch (thrown) {
      if (thrown instanceof FabricError && thrown.code === 'unknown_account')
        this.#accounts.delete(payer.account);
      throw thrown;
    }
  }

  /** V3. Returns at once. */
  charge({ call, row, taken }: Held, used: Used): void {
    const { costs, told } = this.#parts;
    const { session, task, swarm } = call.payer;
    const micros = row === undefined ? 0 : (amountMicros(used.tokens, row.perMillion) ?? 0);
    const at = Date.now();
    const spent = taken?.end({ micros, tokens: tokensOf(used.tokens) });
    this.#settling.settle(call.id, async () => {
      const [{ record }] = await Promise.all([
        costs.record({
          ...used,
          id: call.id,
          at,
          provider: call.provider,
          model: call.model,
          source: 'meter',
          trace: call.traceparent,
          ...(session !== null && { session }),
          ...(task !== null && { task }),
          ...(swarm !== null && { swarm }),
          ...(row !== undefined && { row }),
        }),
        spent?.told(),
      ]);
      told({ event: 'charged', record });
    });
  }

  /** V3: it took nothing. */
  giveBack({ call, taken }: Held): void {
    const spent = taken?.end({ micros: 0, tokens: 0 });
    if (spent !== undefined) this.#settling.settle(call.id, () => spent.told());
  }

  /** Once all is settled, or what is left was tried once more, and nothing is held any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settling.close();
    this.#allowances?.close();
    await this.#settling.close();
  }

  #bound({ bodyBytes, outputMax, choices, hasOutput }: Call, row: PriceRow): Tokens {
    const { bytesPerToken, outputMax: byDefault } = this.#parts;
    const output = hasOutput ? (outputMax ?? row.outputMax ?? byDefault) * choices : 0;
    return { ...NO_TOKENS, [dearestInput(row.perMillion)]: Math.ceil(bodyBytes / bytesPerToken), output };
  }

  /** The nearest account there is: of the token, the task, the session, the swarm, the realm. */
  async #payingAccount(
    budgets: Budgets,
    payer: Payer,
  ): Promise<{ readonly account: string; readonly currency: string } | undefined> {
    for (const account of accountsOf(payer)) {
      const currency = await this.#currencyOf(budgets, account);
      if (currency !== undefined) return { account, currency };
    }
    return undefined;
  }

  async #currencyOf(budgets: Budgets, account: string): Promise<string | undefined> {
    const known = this.#accounts.get(account);
    if (known !== undefined && known.until > Date.now()) return known.currency;
    const currency = (await budgets.account(account))?.account.currency;
    if (this.#accounts.size >= ACCOUNTS_MAX) this.#accounts.clear();
    const forMs = currency === undefined ? ACCOUNT_ABSENT_MS : ACCOUNT_KNOWN_MS;
    this.#accounts.set(account, { currency, until: Date.now() + forMs });
    return currency;
  }
}

/** What the token names alone, or what session, swarm and task are called by convention. */
export function accountsOf({ account, session, swarm, task }: Payer): string[] {
  if (account !== undefined) return [account];
  return [
    ...(task === null ? [] : [`task:${task}`]),
    ...(session === null ? [] : [`session:${session}`]),
    ...(swarm === null ? [] : [`swarm:${swarm}`]),
    'realm',
  ];
}

function no(kind: Refusal['kind'], message: string): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: { kind, message } };
}
