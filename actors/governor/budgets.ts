/** The client of budgets over the ordinary client: reserve before work, commit what it took, refund what it did not. */
import type { Client } from '#runtime/client/client';
import {
  type AccountView,
  type Amounts,
  type Degrade,
  type DrawnView,
  LEDGER_TYPE,
  type LedgerActionInput,
  type LedgerReply,
  ledgerErrors,
  type Outcome,
  type ReservationView,
  type SettledView,
  type Shortage,
  TREE_DEFAULT,
} from '#schemas/budget';
import { FabricError } from '#schemas/fabric-error';
import { isZone } from './calendar.ts';
import { governorErrors } from './errors.ts';

/** Whole millionths of the tree's currency, and tokens; what is not named is 0. */
export type Amount = Partial<Amounts>;

export interface Granted {
  readonly granted: true;
  readonly reservation: ReservationView;
  /** Set where the budget is so full that the work should wait, or take a cheaper model. */
  readonly degrade: Degrade | null;
}

export interface Denied {
  readonly granted: false;
  /** `budget_exhausted` or `budget_too_small`, with who, which budget, how much was left. */
  readonly error: FabricError;
  readonly shortage: Shortage;
}

export interface Booked {
  readonly settled: SettledView;
  /** Absent where it was committed before. */
  readonly outcome?: Outcome;
  /** The reservation had expired: what was spent counts all the same. */
  readonly late: boolean;
}

/** What a draw comes to. */
export interface Drawn extends DrawnView {
  readonly outcome: Outcome;
  readonly degrade: Degrade | null;
  /** Set where more was to be held than there is room for: as much is held as before. */
  readonly denied: Denied | undefined;
}

export interface Draw {
  /** Which one it is, from 1: one that comes behind a later one says nothing. */
  readonly n: number;
  /** All that was spent of the reservation so far. */
  readonly spent: Amount;
  /** What has to be held from now on. */
  readonly hold: Amount;
  /** What may be held where there is ample room. */
  readonly upTo?: Amount;
  /** The lease begins anew. */
  readonly leaseMs?: number;
}

export interface ReserveOptions {
  /** Under the same id the same reservation: for retries over a crash. A fresh one when absent. */
  readonly id?: string;
  /** The money returns after this unless it is committed, refunded or extended. Five minutes when absent. */
  readonly leaseMs?: number;
}

export type AccountSettings = Omit<Extract<LedgerActionInput, { action: 'set' }>, 'action' | 'account'>;

export interface Budgets {
  /** Name of the tree. */
  readonly tree: string;
  /** Holds an amount on an account and all above it, or on none. No room is an outcome; all other refusals are thrown. */
  reserve(account: string, amount: Amount, options?: ReserveOptions): Promise<Granted | Denied>;
  /** Gives a reservation more time. */
  extend(id: string, leaseMs?: number): Promise<ReservationView>;
  /** Books what was spent of a reservation so far, and holds anew for what comes next: for work that never ends. */
  draw(id: string, draw: Draw): Promise<Drawn>;
  /** Books what was spent, be it less or more than was reserved. */
  commit(id: string, amount: Amount): Promise<Booked>;
  /** Gives all of it back. */
  refund(id: string, reason?: string): Promise<SettledView>;
  /** Opens an account, or changes it. Throws `bad_zone` for a time zone that nobody knows. */
  set(account: string, settings: AccountSettings): Promise<AccountView>;
  /** More for this period only; the reason is put on record with who gave it. */
  override(account: string, extra: Amount, reason: string): Promise<AccountView>;
  close(account: string, reason?: string): Promise<void>;
  /** An account and those above it; undefined where there is none. */
  account(
    account: string,
  ): Promise<{ readonly account: AccountView; readonly above: readonly AccountView[] } | undefined>;
  /** All of the tree, by name. */
  accounts(): Promise<readonly AccountView[]>;
}

/**
 * Who reserves, commits and sets limits is the `from` of the client.
 *
 * @example
 * const budgets = openBudgets(client);
 * const held = await budgets.reserve('session:ndi', { micros: 250_000, tokens: 8_000 });
 * if (held.granted) await budgets.commit(held.reservation.id, { micros: 183_210, tokens: 6_120 });
 */
export function openBudgets(client: Client, tree: string = TREE_DEFAULT): Budgets {
  const address = `${LEDGER_TYPE}/${tree}`;
  const say = async ({ action, ...rest }: LedgerActionInput, id?: string): Promise<LedgerReply> => {
    const event = { type: `ledger.${action}`, ...rest };
    return (await client.ask(address, event, id === undefined ? {} : { id })).reply as LedgerReply;
  };
  const accepted = async (action: LedgerActionInput, id?: string) => {
    const reply = await say(action, id);
    if (reply.accepted) return reply;
    throw refusal(reply, tree);
  };
  let made = 0;

  return {
    tree,
    async reserve(account, amount, { id = `${client.clientId}.${made++}`, leaseMs } = {}) {
      const reply = await say({
        action: 'reserve',
        account,
        id,
        amount,
        ...(leaseMs !== undefined && { leaseMs }),
      });
      if (reply.accepted) return { granted: true, ...pick(reply, 'reservation') };
      const { shortage } = reply;
      if (shortage === undefined) throw refusal(reply, tree);
      return deniedBy({ ...reply, shortage }, tree);
    },
    async extend(id, leaseMs) {
      const reply = await accepted({ action: 'extend', id, ...(leaseMs !== undefined && { leaseMs }) });
      return pick(reply, 'reservation').reservation;
    },
    async draw(id, { n, spent, hold, upTo = NOTHING, leaseMs }) {
      const action = { action: 'draw', id, n, spent, hold, upTo } as const;
      const lease = leaseMs !== undefined && { leaseMs };
      const reply = pick(await accepted({ ...action, ...lease }, `draw.${id}.${n}`), 'drawn');
      const { drawn, outcome, degrade, refusal: why } = reply;
      const denied = why === undefined ? undefined : deniedBy(why, tree);
      return { ...drawn, outcome, degrade, denied };
    },
    async commit(id, amount) {
      const { micros = 0, tokens = 0 } = amount;
      // The shard remembers message ids longer than the ledger remembers reservations.
      const reply = await accepted({ action: 'commit', id, amount }, `commit.${id}.${micros}.${tokens}`);
      const { settled, outcome, late = false } = pick(reply, 'settled');
      return { settled, late, ...(outcome !== undefined && { outcome }) };
    },
    async refund(id, reason) {
      const reply = await accepted(
        { action: 'refund', id, ...(reason !== undefined && { reason }) },
        `refund.${id}`,
      );
      return pick(reply, 'settled').settled;
    },
    async set(account, settings) {
      const { zone } = settings;
      if (zone !== undefined && !isZone(zone))
        throw new FabricError(governorErrors.bad_zone, `"${zone}" is no time zone that is known here`);
      return pick(await accepted({ action: 'set', account, ...settings }), 'account').account;
    },
    async override(account, extra, reason) {
      return pick(await accepted({ action: 'override', account, extra, reason }), 'account').account;
    },
    async close(account, reason) {
      await accepted({ action: 'close', account, ...(reason !== undefined && { reason }) });
    },
    async account(account) {
      const reply = await say({ action: 'get', account });
      if (!reply.accepted && reply.code === 'unknown_account') return undefined;
      if (!reply.accepted) throw refusal(reply, tree);
      const found = pick(reply, 'account');
      return { account: found.account, above: found.path ?? [] };
    },
    async accounts() {
      const all: AccountView[] = [];
      for (let after: string | null | undefined; after !== null; ) {
        const reply = await accepted({ action: 'list', ...(after !== undefined && { after }) });
        const page = pick(reply, 'accounts');
        all.push(...page.accounts);
        after = page.next;
      }
      return all;
    },
  };
}

const NOTHING: Amount = {};

type Refused = Pick<Extract<LedgerReply, { accepted: false }>, 'code' | 'reason' | 'shortage'>;
type Accepted = Extract<LedgerReply, { accepted: true }>;

/** The reply that has this field. Throws `bad_ledger` where another machine answered. */
function pick<Key extends 'reservation' | 'drawn' | 'settled' | 'account' | 'accounts'>(
  reply: Accepted,
  key: Key,
): Extract<Accepted, Record<Key, unknown>> {
  if (key in reply) return reply as Extract<Accepted, Record<Key, unknown>>;
  throw new FabricError(governorErrors.bad_ledger, `The answer of the ledger has no ${key}`);
}

function deniedBy(refused: Refused & { readonly shortage: Shortage }, tree: string): Denied {
  return { granted: false, error: refusal(refused, tree), shortage: refused.shortage };
}

function refusal({ code, reason, shortage }: Refused, tree: string): FabricError {
  const kind = ledgerErrors[code] ?? governorErrors.bad_ledger;
  return new FabricError(kind, reason, { details: { tree, ...shortage } });
}
