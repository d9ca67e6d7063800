/** What a ledger knows. */
import type {
  AccountView,
  Alert,
  Amounts,
  Degrade,
  Limit,
  Period,
  ReservationView,
  SettledView,
} from '#schemas/budget';
import { emptyTable, rowOf, type Table } from './table.ts';

export interface Account {
  readonly id: string;
  readonly parent: string | null;
  readonly limit: Limit;
  readonly extra: Amounts;
  readonly period: Period;
  readonly zone: string;
  readonly degrade: Degrade | null;
  readonly since: number;
  readonly until: number | null;
  readonly spent: Amounts;
  readonly over: Amounts;
  readonly reserved: Amounts;
  readonly total: Amounts;
  readonly level: 0 | Alert;
  readonly marks: readonly (readonly [at: number, micros: number, tokens: number])[];
}

/** What was spent of a reservation before its end, and by which draw; absent where nobody drew on it. */
interface Drawn {
  readonly drawn?: Amounts;
  readonly draws?: number;
}

export interface Reservation extends ReservationView, Drawn {
  readonly by: string;
}

export interface Settled extends SettledView, Drawn {
  readonly by: string;
  /** Which end it was, from 1. */
  readonly n: number;
}

/** The edges of one sort of period in one zone, as the driver `calendar` knows them. */
export interface Calendar {
  /** Ends of periods, and the beginning of the first, ms since the epoch, growing. */
  readonly edges: readonly number[];
  /** Why there are none. */
  readonly problem: string | null;
}

export interface LedgerContext {
  readonly tree: string;
  readonly status: 'absent' | 'open';
  readonly currency: string;
  readonly accounts: Table<Account>;
  readonly accountCount: number;
  readonly reservations: Table<Reservation>;
  readonly reservationCount: number;
  /** Reservations that came to their end, ever. */
  readonly ends: number;
  /** The newest that came to their end. */
  readonly settled: Table<Settled>;
  /** The newest that expired: their work may still be paid for. */
  readonly expired: Table<Settled>;
  readonly calendars: Readonly<Record<string, Calendar>>;
  /** True while the driver is asked. */
  readonly asking: boolean;
  /** When the timers of leases and periods are due. */
  readonly leaseDue: number | null;
  readonly turnDue: number | null;
}

const PARTS = 16;
/** Hundreds of reservations are open at a time where many work, and each step changes one. */
const RESERVATION_PARTS = 64;

export const NOTHING: Amounts = { micros: 0, tokens: 0 };
export const NO_ZONE = 'UTC';

export function initialLedger(_input: unknown, self: string): LedgerContext {
  return {
    tree: self.slice(self.indexOf('/') + 1),
    status: 'absent',
    currency: '',
    accounts: emptyTable(PARTS),
    accountCount: 0,
    reservations: emptyTable(RESERVATION_PARTS),
    reservationCount: 0,
    ends: 0,
    settled: emptyTable(PARTS),
    expired: emptyTable(PARTS),
    calendars: {},
    asking: false,
    leaseDue: null,
    turnDue: null,
  };
}

/** An account and all above it, the lowest first; undefined where there is none of this name. */
export function pathOf({ accounts }: LedgerContext, id: string): readonly Account[] | undefined {
  const path: Account[] = [];
  for (let next: string | null = id; next !== null; ) {
    const account: Account | undefined = rowOf(accounts, next);
    if (account === undefined) return undefined;
    path.push(account);
    next = account.parent;
  }
  return path;
}

export function accountView({ tree, currency }: LedgerContext, account: Account): AccountView {
  const { id, marks, ...rest } = account;
  return { account: id, tree, currency, ...rest, marks: marks.map((mark) => [...mark]) };
}
