/**
 * Budgets: accounts of a tree in one ledger, what is asked of it, and how it is shown. Each account has a face, an actor
 * of its own, that enters a state at each alert and tells who follows it.
 */
import { z } from 'zod';
import { errorKinds } from './fabric-error.ts';

/** Type of the actors that keep the books of a whole tree; the id is the name of the tree. */
export const LEDGER_TYPE = 'ledger';
/** Type of the faces of accounts; the id is `<tree>:<account>`. */
export const BUDGET_TYPE = 'budget';
export const TREE_DEFAULT = 'main';
export const TREE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Levels of a tree: realm, swarm, session, task, and as many again. */
export const DEPTH_MAX = 8;
/** Accounts of one tree: the state of its actor is hashed with each commit. A task that is done closes its account. */
export const ACCOUNTS_MAX = 2_000;
/** Reservations that are open at a time in one tree. */
export const RESERVATIONS_MAX = 10_000;
/** A thousand million units in one amount; what sums of them come to is bounded by the numbers that are exact. */
export const AMOUNT_MAX = 1e15;
/** A model answers within minutes; who needs longer says so, or extends. */
export const RESERVATION_MS_DEFAULT = 300_000;
export const RESERVATION_MS_MIN = 1_000;
export const RESERVATION_MS_MAX = 86_400_000;
export const RESERVATION_ID_MAX = 200;
/** Percent of a limit at which an alert is raised, once a period. */
export const ALERTS = [50, 80, 95, 100] as const;
export type Alert = (typeof ALERTS)[number];
export const FOLLOWERS_MAX = 100;

export const PERIODS = ['day', 'week', 'month', 'total'] as const;
export type Period = (typeof PERIODS)[number];

export const ACCOUNT_NAME = /^[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,119}$/;
export const accountName = z.string().regex(ACCOUNT_NAME, {
  error: 'expected letters, digits and . _ @ + = ~ : -',
});
const reservationId = z.string().min(1).max(RESERVATION_ID_MAX);
const amount = z.int().min(0).max(AMOUNT_MAX);
const reason = z.string().trim().min(1).max(2_000);

/** Whole millionths of the tree's currency, and tokens of a model. */
export const amountsSchema = z.strictObject({ micros: amount.default(0), tokens: amount.default(0) });
export type Amounts = z.infer<typeof amountsSchema>;

export const limitSchema = z
  .strictObject({
    micros: amount
      .nullable()
      .default(null)
      .describe('Millionths of the currency; null: no bound of its own.'),
    tokens: amount.nullable().default(null),
  })
  .describe('What may be spent in a period.');
export type Limit = z.infer<typeof limitSchema>;

export const degradeSchema = z
  .discriminatedUnion('to', [
    z.strictObject({ to: z.literal('queue'), at: z.int().min(1).max(100).default(100) }),
    z.strictObject({
      to: z.literal('model'),
      model: z.string().min(1).max(200),
      at: z.int().min(1).max(100).default(80),
    }),
  ])
  .describe('What a worker is told to do instead from this percentage on: wait, or take a cheaper model.');
export type Degrade = z.infer<typeof degradeSchema>;

/** What may be asked of a ledger; an event is `ledger.` and the action. */
export const ledgerActionSchema = z.discriminatedUnion('action', [
  z.object({
    action: z.literal('set'),
    account: accountName,
    parent: accountName.optional().describe('The account above; the first account of a tree has none.'),
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, { error: 'expected an ISO 4217 code such as EUR' })
      .optional(),
    limit: limitSchema.optional(),
    period: z.enum(PERIODS).optional(),
    zone: z.string().min(1).max(64).optional().describe('IANA name of the time zone, `Europe/Berlin`.'),
    degrade: degradeSchema.nullable().optional(),
    reason: reason.optional(),
  }),
  z.object({
    action: z.literal('override'),
    account: accountName,
    extra: amountsSchema.describe('On top of the limit until the period ends.'),
    reason,
  }),
  z.object({ action: z.literal('close'), account: accountName, reason: reason.optional() }),
  z.object({
    action: z.literal('reserve'),
    account: accountName,
    id: reservationId,
    amount: amountsSchema,
    leaseMs: z.int().min(RESERVATION_MS_MIN).max(RESERVATION_MS_MAX).default(RESERVATION_MS_DEFAULT),
  }),
  z.object({
    action: z.literal('extend'),
    id: reservationId,
    leaseMs: z.int().min(RESERVATION_MS_MIN).max(RESERVATION_MS_MAX).default(RESERVATION_MS_DEFAULT),
  }),
  z.object({
    action: z.literal('draw'),
    id: reservationId,
    n: z
      .int()
      .min(1)
      .describe(
        'Which draw of this reservation it is, growing: one that comes behind a later one says nothing.',
      ),
    spent: amountsSchema.describe('All that was spent of it so far.'),
    hold: amountsSchema.describe('What has to be held from now on, or as much of it as was held before.'),
    upTo: amountsSchema
      .default({ micros: 0, tokens: 0 })
      .describe('What may be held where there is ample room.'),
    leaseMs: z.int().min(RESERVATION_MS_MIN).max(RESERVATION_MS_MAX).default(RESERVATION_MS_DEFAULT),
  }),
  z.object({ action: z.literal('commit'), id: reservationId, amount: amountsSchema }),
  z.object({ action: z.literal('refund'), id: reservationId, reason: reason.optional() }),
  z.object({ action: z.literal('get'), account: accountName }),
  z.object({
    action: z.literal('list'),
    after: accountName.optional(),
    limit: z.int().min(1).max(200).default(100),
  }),
]);
export type LedgerAction = z.infer<typeof ledgerActionSchema>;
export type LedgerActionInput = z.input<typeof ledgerActionSchema>;

export const accountViewSchema = z
  .strictObject({
    account: z.string(),
    tree: z.string(),
    parent: z.string().nullable(),
    currency: z.string(),
    limit: limitSchema,
    extra: amountsSchema.describe('What an override put on top for this period.'),
    period: z.enum(PERIODS),
    zone: z.string(),
    since: z.int().describe('When the period began, ms since the epoch.'),
    until: z.int().nullable().describe('When it ends; null: never, or not known yet.'),
    spent: amountsSchema.describe('In this period, within the limit.'),
    over: amountsSchema.describe('In this period, spent though there was no room: overruns.'),
    reserved: amountsSchema.describe('Held by open reservations.'),
    total: amountsSchema.describe('Ever spent, overruns included.'),
    level: z.union([z.literal(0), ...ALERTS.map((alert) => z.literal(alert))]),
    degrade: degradeSchema.nullable(),
    marks: z
      .array(z.tuple([z.int(), z.int(), z.int()]))
      .describe('Earlier totals: time, millionths, tokens.'),
  })
  .describe('An account of a budget tree, as it is shown.');
export type AccountView = z.infer<typeof accountViewSchema>;

/** What a ledger refuses. */
export const ledgerErrors = errorKinds({
  bad_ledger_action: {
    retryable: false,
    help: 'docs/schemas/ledger-action.json says what may be asked of a ledger.',
  },
  budget_not_permitted: {
    retryable: false,
    help: 'Limits are set by operators, persons, the governor and supervisors; a reservation belongs to who made it.',
  },
  unknown_account: {
    retryable: false,
    help: '`infrafabric budget tree` shows the accounts there are; `infrafabric budget set` opens one.',
  },
  budget_exhausted: {
    retryable: true,
    help: 'Wait for the next period or for reservations to end, or have an operator give more: `infrafabric budget set NAME --limit …`, or `--extra … --reason …` for this period only.',
  },
  budget_too_small: {
    retryable: false,
    help: 'Ask for less, or have an operator raise the limit: `infrafabric budget set NAME --limit …`.',
  },
  too_many_reservations: {
    retryable: true,
    help: 'Commit or refund what is done; what is forgotten expires with its lease.',
  },
  too_many_accounts: {
    retryable: false,
    help: 'Close accounts of what is done, or keep them in another tree.',
  },
  sum_too_big: {
    retryable: false,
    help: 'Sums are exact up to 9,007,199,254 units of money; beyond that a figure is a mistake, or the books belong into another tree.',
  },
  reservation_differs: { retryable: false, help: 'Take an id of its own for each reservation.' },
  reservation_settled: { retryable: false, help: 'It has come to its end: reserve under another id.' },
  unknown_reservation: {
    retryable: false,
    help: 'Reserve before the work begins, and commit under the same id; ends are remembered for a while only.',
  },
  currency_differs: {
    retryable: false,
    help: 'A tree counts in one currency: keep another one in another tree.',
  },
  parent_differs: {
    retryable: false,
    help: 'An account keeps its place: close it and open it anew elsewhere.',
  },
  too_deep: { retryable: false, help: `A tree is ${DEPTH_MAX} levels deep at most.` },
  account_in_use: {
    retryable: false,
    help: 'Close the accounts below it first, and let its reservations end.',
  },
});
export type LedgerRefusal = keyof typeof ledgerErrors;

/** What was missing, and where; with `budget_exhausted` and `budget_too_small`. */
export interface Shortage {
  /** The account that has no room: the one asked for, or one above it. */
  readonly account: string;
  readonly measure: 'micros' | 'tokens';
  readonly asked: number;
  readonly left: number;
  readonly limit: number;
  readonly currency: string;
  /** When there is room again by itself; null: when somebody gives more. */
  readonly resetsAt: number | null;
  /** What to do instead. */
  readonly degrade: Degrade | null;
}

/** `within`: no more than was reserved; `over`: more, and there was no room for all of it; `more`: more, with room. */
export type Outcome = 'within' | 'more' | 'over';

export interface ReservationView {
  readonly id: string;
  readonly account: string;
  readonly amount: Amounts;
  readonly expiresAt: number;
}

/** A reservation that is drawn upon. */
export interface DrawnView {
  readonly id: string;
  readonly account: string;
  /** All that was spent of it. */
  readonly spent: Amounts;
  /** What is held beside that. */
  readonly hold: Amounts;
  /** null: its lease ran out, nothing is held any more, and what was spent counts all the same. */
  readonly expiresAt: number | null;
}

/** How a reservation came to its end. */
export interface SettledView {
  readonly id: string;
  readonly account: string;
  readonly how: 'committed' | 'refunded' | 'expired';
  readonly amount: Amounts;
}

export type LedgerReply =
  | {
      readonly accepted: true;
      readonly reservation: ReservationView;
      /** Set where an account on the way up is so full that something cheaper is asked for. */
      readonly degrade: Degrade | null;
    }
  | {
      readonly accepted: true;
      readonly drawn: DrawnView;
      readonly outcome: Outcome;
      readonly degrade: Degrade | null;
      /** Set where more was to be held than there is room for. */
      readonly refusal?: {
        readonly code: LedgerRefusal;
        readonly reason: string;
        readonly shortage: Shortage;
      };
    }
  | {
      readonly accepted: true;
      readonly settled: SettledView;
      readonly outcome?: Outcome;
      /** True where the reservation had expired before. */
      readonly late?: boolean;
    }
  | { readonly accepted: true; readonly account: AccountView; readonly path?: readonly AccountView[] }
  | { readonly accepted: true; readonly accounts: readonly AccountView[]; readonly next: string | null }
  | { readonly accepted: true; readonly closed: string }
  | {
      readonly accepted: false;
      readonly code: LedgerRefusal;
      readonly reason: string;
      readonly shortage?: Shortage;
    };

/** States of a face; a webhook names them `budget.at80`, `budget.exhausted`. */
export const BUDGET_STATUSES = ['absent', 'open', 'at50', 'at80', 'at95', 'exhausted'] as const;
export type BudgetStatus = (typeof BUDGET_STATUSES)[number];

/** What is asked of a face; who asks is who follows. */
export const budgetActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('follow') }),
  z.object({ action: z.literal('unfollow') }),
  z.object({ action: z.literal('get') }),
]);

export function faceOf(tree: string, account: string): string {
  return `${BUDGET_TYPE}/${tree}:${account}`;
}
