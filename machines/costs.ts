/**
 * A book: cost records of a swarm, or of who has none, and a report every ten minutes while it is written or followed.
 *
 * C1  A record counts once: a book knows its newest {@link IDS_MAX} ids, and the kernel every message id of the client. Reports
 *     over the log count an id once, whenever it came.
 * C2  What a record costs is computed here again from its tokens and the prices it names: another amount is refused.
 * C3  A record without a price is counted as such, never as nothing.
 * C4  Sessions write their own records; meters, and who steers, anyone's.
 * C5  The state is bounded: sums for a bounded number of names, the rest as others. Every record is an entry of the log.
 */
import type { AnyEventObject } from 'xstate';
import {
  type BookView,
  COSTS_STATUSES,
  type CostRecord,
  type CostReport,
  type CostsReply,
  costsActionSchema,
  costsInputSchema,
  type Share,
} from '#schemas/cost';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import { amountMicros } from './costs/amount.ts';
import { NO_SHARE, NONE, plus, plusTo } from './costs/shares.ts';
import { decidedMachine, type Heard, type Outcome, TIMER_EVENT } from './decided.ts';

export const costsErrors = errorKinds({
  unknown_costs: {
    retryable: false,
    help: 'Nothing was recorded there: `infrafabric cost report --by swarm` shows those there are.',
  },
});

/** C1: more than a session has under way at once, and little to hash. */
const IDS_MAX = 200;
/** C5. */
const SESSIONS_MAX = 200;
const MODELS_MAX = 50;
const REPORT = 'report';
/** Types of actors that record for others. */
const RECORDERS: ReadonlySet<string> = new Set(['meter', 'operator', 'governor', 'supervisor', 'swarm']);

interface Book {
  readonly id: string;
  readonly status: (typeof COSTS_STATUSES)[number];
  readonly reportEveryMs: number;
  /** Reports come although nothing is recorded. */
  readonly followed: boolean;
  readonly total: Share;
  readonly unpriced: number;
  /** The newest last. */
  readonly ids: readonly string[];
  readonly current: BookView['current'];
  readonly nextReportAt: number | null;
}

export const costs = {
  name: 'costs',
  version: 1,
  machine: decidedMachine<Book>({
    id: 'costs',
    version: '1',
    statuses: COSTS_STATUSES,
    hears: ['costs.*', `${TIMER_EVENT}${REPORT}`],
    drivers: [],
    context: (input, self) => ({
      id: self.slice(self.indexOf('/') + 1),
      status: 'quiet',
      reportEveryMs: costsInputSchema.parse(input ?? {}).reportEveryMs,
      followed: false,
      total: NO_SHARE,
      unpriced: 0,
      ids: [],
      current: NOTHING,
      nextReportAt: null,
    }),
    decide,
  }),
};

const NOTHING: BookView['current'] = { from: 0, spent: NO_SHARE, unpriced: 0, bySession: {}, byModel: {} };

const QUIET: Outcome<Book> = {
  patch: { status: 'quiet', followed: false, nextReportAt: null, current: NOTHING },
  cancelled: [REPORT],
};

function decide(book: Book, { event, from, at }: Heard): Outcome<Book> {
  if (event.type === `${TIMER_EVENT}${REPORT}`) return due(book, at);
  const parsed = costsActionSchema.safeParse(actionOf(event));
  if (!parsed.success) return refused('bad_action', 'this is not an action of a book');
  const action = parsed.data;
  const by = from ?? '';
  const steers = RECORDERS.has(by.slice(0, Math.max(0, by.indexOf('/'))));
  switch (action.action) {
    case 'get':
      if (book.total.records === 0 && !book.followed)
        throw new FabricError(costsErrors.unknown_costs, `Nobody wrote to book ${book.id}`);
      return { reply: viewOf(book) };
    case 'record':
      // C4.
      if (!steers && by !== `session/${action.record.session}`)
        return refused('not_permitted', `${by === '' ? 'nobody' : by} records for another`);
      return record(book, action.record, at);
    case 'follow':
      if (!steers) return refused('not_permitted', `${by} may not`);
      return { ...reporting(book, { followed: true }, at), reply: { accepted: true } };
    case 'unfollow':
      if (!steers) return refused('not_permitted', `${by} may not`);
      return { ...reported(book, at), ...QUIET, reply: { accepted: true } };
    case 'report':
      if (!steers) return refused('not_permitted', `${by} may not`);
      return { ...reported(book, at), reply: reportOf(book, at) };
  }
}

function record(book: Book, one: CostRecord, at: number): Outcome<Book> {
  if (book.ids.includes(one.id)) return { reply: accepted(one, true) }; // C1
  const wrong = wrongAmount(one);
  if (wrong !== undefined) return refused('wrong_amount', wrong);
  const total = plus(book.total, one);
  const spent = plus(book.current.spent, one);
  if (total === undefined || spent === undefined)
    return refused('book_full', 'a sum would no longer be exact, or be one currency too many');
  const isPriced = one.price !== null;
  const unpriced = isPriced ? 0 : 1;
  const { current } = book;
  const change = reporting(
    book,
    {
      total,
      unpriced: book.unpriced + unpriced,
      ids: [...book.ids, one.id].slice(-IDS_MAX),
      current: {
        from: current.from,
        spent,
        unpriced: current.unpriced + unpriced,
        bySession: plusTo(current.bySession, one.session ?? NONE, one, SESSIONS_MAX),
        byModel: plusTo(current.byModel, `${one.provider}/${one.model}`, one, MODELS_MAX),
      },
    },
    at,
  );
  return {
    ...change,
    reply: accepted(one, false),
    tell: [{ type: 'costs.recorded', record: one, total }],
    // C3.
    ...(!isPriced && {
      log: {
        severity: 'WARN',
        message: { type: 'cost_without_price', record: one.id, provider: one.provider, model: one.model },
      },
    }),
  };
}

/** C2: what is wrong with it, if anything. */
function wrongAmount({ tokens, price, amountMicros: amount }: CostRecord): string | undefined {
  if (price === null || amount === null)
    return price === null && amount === null ? undefined : 'an amount and its price come together';
  const computed = amountMicros(tokens, price.perMillion);
  return computed === amount ? undefined : `these tokens at ${price.row} cost ${computed}, not ${amount}`;
}

/** From the first record on, until a whole period had none. */
function reporting(book: Book, patch: Partial<Book>, at: number): Outcome<Book> {
  if (book.status === 'reporting') return { patch };
  const { reportEveryMs, current } = { ...book, ...patch };
  return {
    patch: {
      ...patch,
      status: 'reporting',
      nextReportAt: at + reportEveryMs,
      current: current.from === 0 ? { ...current, from: at } : current,
    },
    timers: [{ id: REPORT, delayMs: reportEveryMs }],
  };
}

function due(book: Book, at: number): Outcome<Book> {
  if (book.current.spent.records === 0 && !book.followed) return QUIET;
  const change = reported(book, at);
  return {
    ...change,
    patch: { ...change.patch, nextReportAt: at + book.reportEveryMs },
    timers: [{ id: REPORT, delayMs: book.reportEveryMs }],
  };
}

function reported(book: Book, at: number): Outcome<Book> {
  const report = reportOf(book, at);
  return {
    patch: { current: { ...NOTHING, from: at } },
    tell: [{ type: 'costs.report', report }],
    log: { severity: 'INFO', message: { type: 'cost_report', report } },
  };
}

function reportOf({ id, current, total }: Book, at: number): CostReport {
  return { book: id, until: at, ...current, total };
}

function viewOf({ id, status, total, unpriced, current, nextReportAt }: Book): BookView {
  return { id, status, total, unpriced, current, nextReportAt };
}

function accepted({ amountMicros: amount }: CostRecord, known: boolean): CostsReply {
  return { accepted: true, known, amountMicros: amount };
}

function actionOf({ type, ...rest }: AnyEventObject): unknown {
  return { ...rest, action: type.slice('costs.'.length) };
}

function refused(code: (CostsReply & { accepted: false })['code'], reason: string): Outcome<Book> {
  const reply: CostsReply = { accepted: false, code, reason };
  return { reply };
}
