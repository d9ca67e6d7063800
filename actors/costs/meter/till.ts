/**
 * Where calls are paid: held before they are forwarded, charged when it is known what they took.
 *
 * V1  Nothing is forwarded for which nothing is held, unless the config says that no budget is wanted.
 * V2  What is held is no less than the call can cost: its size in bytes as tokens of the dearest way in, and all the output it may
 *     have.
 * V3  Every call that was forwarded is settled once: charged what it took, or given back where it took nothing. That is tried until
 *     it is done; a meter that closes waits for it.
 * V4  A call of a meter that was killed is settled by the next one: charged what it took, where that was known, and else as much as
 *     it may have cost, since nobody knows what it did. The next one ends the reservation that pays for it, with all that was ever
 *     spent of it: a sum, so what the ledger knew before counts once, and what comes late from the dead says nothing.
 * V5  A token of one session has charged to a task only what it does for it: the task says who has it.
 */
import type { Taken } from '#actors/governor/allowance/allowance';
import { Allowances } from '#actors/governor/allowance/allowances';
import type { Budgets } from '#actors/governor/budgets';
import { amountMicros, boundMicros, dearestInput, tokensOf } from '#machines/costs/amount';
import { most, plus } from '#machines/ledger/room';
import type { Amounts, Degrade } from '#schemas/budget';
import type { CostRecord, Tokens } from '#schemas/cost';
import { FabricError, type WireError } from '#schemas/fabric-error';
import type { PriceRow } from '#schemas/price';
import type { CostsClient, Usage } from '../client.ts';
import type { PriceList } from '../price-list.ts';
import type { Holders } from './holders.ts';
import type { Payer } from './route.ts';
import { Settling } from './settling.ts';
import type { Lost, UnderWay } from './under-way.ts';
import type { Refusal } from './wire.ts';

/** An account that is there stays, mostly; one that is not may be opened at any moment. */
const ACCOUNT_KNOWN_MS = 60_000;
const ACCOUNT_ABSENT_MS = 2_000;
const ACCOUNTS_MAX = 10_000;
/** An estimate has a token for so many bytes. */
const ESTIMATED_BYTES = 4;
/** No call uses so many. */
const TOKENS_MAX = 1_000_000_000;
const NOTHING: Amounts = { micros: 0, tokens: 0 };
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
  /** V5. Absent where nobody looks. */
  readonly holders?: Pick<Holders, 'has'>;
  /** Calls under way, for who comes after a meter that was killed; absent where none are kept. */
  readonly underWay?: UnderWay;
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
  /** The most that it may use. */
  readonly bound: Tokens;
  readonly degrade: Degrade | null;
}

/** Of a call, what its record says. */
type Recorded = Pick<Call, 'id' | 'provider' | 'model' | 'traceparent'> & {
  readonly payer: Pick<Payer, 'session' | 'task' | 'swarm'>;
};

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
    const bound = this.#bound(call, row);
    if (budgets === undefined || row === undefined)
      return this.#begun({ call, row, taken: undefined, bound, degrade: null });
    if (!(await this.#mayName(call.payer)))
      return no('forbidden', `Task ${call.payer.task} is not that of session ${call.payer.session}.`);
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
    const micros = boundMicros(bound, row.perMillion);
    if (micros === undefined) return no('no_budget', 'No budget holds as much as this call might cost.');
    const amount = { micros, tokens: tokensOf(bound) };
    try {
      const answer = await this.#allowances?.take(payer.account, amount);
      if (answer?.granted === false) return no('no_budget', `Budget exhausted: ${answer.error.message}`);
      return this.#begun({ call, row, taken: answer, bound, degrade: answer?.degrade ?? null });
    } catch (thrown) {
      if (thrown instanceof FabricError && thrown.code === 'unknown_account')
        this.#accounts.delete(payer.account);
      if (thrown instanceof FabricError && thrown.code === 'policy_denied')
        return no('forbidden', thrown.message);
      throw thrown;
    }
  }

  /** V3. Returns at once. */
  charge({ call, row, taken }: Held, used: Used): void {
    const spent = taken?.end(amountOf(used, row));
    const known = { ...used, at: Date.now() };
    // V4: before the ledger is told.
    this.#parts.underWay?.charged(call.id, known, taken?.standing());
    this.#settle(call, row, known, async () => spent?.told());
  }

  /** V4. */
  chargeLost(lost: readonly Lost[]): void {
    const at = Date.now();
    for (const [reservation, calls] of Map.groupBy(lost, ({ paid }) => paid?.reservation)) {
      // What took no known amount is not in what was spent: it is added. The sum is the same for each of them, and counts once.
      const known = calls.reduce((sum, { paid }) => most(sum, paid?.spent ?? NOTHING), NOTHING);
      const spent = calls
        .filter(({ used }) => used === undefined)
        .reduce((sum, one) => plus(sum, amountOf(mostOf(one), one.row)), known);
      for (const one of calls) {
        this.#settle(one.call, one.row, one.used ?? { ...mostOf(one), at }, async () => {
          if (reservation !== undefined) await this.#end(reservation, spent);
        });
      }
    }
  }

  /** V3: it took nothing. */
  giveBack({ call, taken }: Held): void {
    const spent = taken?.end(NOTHING);
    // There is nothing of it to be charged, whoever comes after.
    this.#parts.underWay?.end(call.id);
    if (spent !== undefined) this.#settling.settle(call.id, () => spent.told());
  }

  /** Once all is settled, or what is left was tried once more, and nothing is held any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settling.close();
    this.#allowances?.close();
    await this.#settling.close();
  }

  #begun(held: Held): { readonly ok: true; readonly held: Held } {
    this.#parts.underWay?.begin(held);
    return { ok: true, held };
  }

  /** Records what a call used, and does what its budget has to be told. */
  #settle(
    call: Recorded,
    row: PriceRow | undefined,
    used: Used & { readonly at: number },
    pay: () => Promise<void>,
  ): void {
    const { costs, told, underWay } = this.#parts;
    const { id, provider, model, traceparent, payer } = call;
    const { session, task, swarm } = payer;
    const usage: Usage = {
      ...used,
      id,
      provider,
      model,
      source: 'meter',
      trace: traceparent,
      ...(session !== null && { session }),
      ...(task !== null && { task }),
      ...(swarm !== null && { swarm }),
      ...(row !== undefined && { row }),
    };
    const work = async (): Promise<void> => {
      const [{ record }] = await Promise.all([costs.record(usage), pay()]);
      told({ event: 'charged', record });
    };
    this.#settling.settle(id, work, () => underWay?.end(id));
  }

  /** V4. */
  async #end(reservation: string, spent: Amounts): Promise<void> {
    try {
      await this.#parts.budgets?.commit(reservation, spent);
    } catch (thrown) {
      // It was done before, by a meter that was killed before it could note so.
      if (!(thrown instanceof FabricError) || thrown.code !== 'reservation_settled') throw thrown;
    }
  }

  #bound({ bodyBytes, outputMax, choices, hasOutput }: Call, row: PriceRow | undefined): Tokens {
    const { bytesPerToken, outputMax: byDefault } = this.#parts;
    const output = hasOutput ? (outputMax ?? row?.outputMax ?? byDefault) * choices : 0;
    const way = row === undefined ? 'input' : dearestInput(row.perMillion);
    return {
      ...NO_TOKENS,
      [way]: Math.ceil(bodyBytes / bytesPerToken),
      output: Math.min(output, TOKENS_MAX),
    };
  }

  /** V5. */
  async #mayName({ isBound, session, task, account }: Payer): Promise<boolean> {
    if (!isBound || session === null || task === null || account !== undefined) return true;
    return (await this.#parts.holders?.has(session, task)) ?? true;
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

/** What a call may have taken of which nobody knows what it did. */
function mostOf({ call, bound }: Lost): Used {
  const input = Math.ceil(call.bodyBytes / ESTIMATED_BYTES);
  return { tokens: { ...NO_TOKENS, input, output: bound.output }, counted: 'estimated', outcome: 'failed' };
}

function amountOf({ tokens }: Pick<Used, 'tokens'>, row: PriceRow | undefined): Amounts {
  const micros = row === undefined ? 0 : (amountMicros(tokens, row.perMillion) ?? 0);
  return { micros, tokens: tokensOf(tokens) };
}

function no(kind: Refusal['kind'], message: string): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: { kind, message } };
}
