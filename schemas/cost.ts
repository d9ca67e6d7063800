/** Cost records: who used how many tokens of which model, and what that cost. */
import { z } from 'zod';
import { currencyCode, modelName, perMillionSchema, providerName } from './price.ts';

/** Type of the actors: books, one for each swarm. */
export const COSTS_TYPE = 'costs';
/** The book of who belongs to no swarm. */
export const COSTS_DEFAULT = 'main';
/** A report of what was spent comes by itself this often while a book is followed or written. */
export const REPORT_EVERY_MS_DEFAULT = 600_000;

const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,199}$/, {
  error: 'expected letters, digits and . _ @ + = ~ : -',
});
/** A thousand million tokens in one call: far beyond any, and products stay exact. */
const tokenCount = z.int().min(0).max(1_000_000_000);

export const tokensSchema = z
  .strictObject({
    input: tokenCount.default(0).describe('Not from a cache.'),
    cachedInput: tokenCount.default(0),
    cacheWrite: tokenCount.default(0),
    cacheWriteLong: tokenCount.default(0),
    output: tokenCount.default(0),
  })
  .describe('Tokens by class; each is of one class.');
export type Tokens = z.infer<typeof tokensSchema>;

/**
 * Where a count is from: `provider`, its own figures; `estimated`, by size, since there were none; `reported`, by the
 * worker.
 */
export const COUNTED = ['provider', 'estimated', 'reported'] as const;
export const COST_SOURCES = ['client', 'mcp', 'meter'] as const;

export const pricedSchema = z.strictObject({
  row: z.string().min(1).max(300).describe('Id of the row of the price table.'),
  currency: currencyCode,
  perMillion: perMillionSchema.describe('What the row said, so that the record can be computed again.'),
});

export const costRecordSchema = z
  .strictObject({
    id: z
      .string()
      .regex(/^[\x21-\x7e]{1,120}$/, { error: 'expected 1 to 120 characters without spaces' })
      .describe('A record counts once, however often it is sent.'),
    at: z.int().min(0).describe('When it was used, ms since the epoch.'),
    source: z.enum(COST_SOURCES),
    provider: providerName,
    model: modelName.describe('As it was asked for.'),
    tokens: tokensSchema,
    counted: z.enum(COUNTED),
    price: pricedSchema.nullable().describe('Null where the table had no price.'),
    amountMicros: z.int().min(0).nullable().describe('Null where the table had no price.'),
    session: id.nullable(),
    task: id.nullable(),
    swarm: id.nullable(),
    trace: z
      .string()
      .regex(/^[0-9a-f]{32}$/)
      .nullable()
      .describe('W3C trace id.'),
    /** `aborted`: the caller went away; `failed`: the provider broke off. Both have cost something. */
    outcome: z.enum(['complete', 'aborted', 'failed']).default('complete'),
  })
  .describe('Tokens that were used, and what they cost.');
export type CostRecord = z.infer<typeof costRecordSchema>;

/** Input of a book, in the config of its kind. */
export const costsInputSchema = z.strictObject({
  reportEveryMs: z.int().min(1_000).max(86_400_000).default(REPORT_EVERY_MS_DEFAULT),
});

export const costsActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('record'), record: costRecordSchema }),
  /** Reports from now on although nothing is recorded, until `unfollow`: a swarm runs. */
  z.object({ action: z.literal('follow') }),
  z.object({ action: z.literal('unfollow') }),
  /** A report at once. */
  z.object({ action: z.literal('report') }),
  z.object({ action: z.literal('get') }),
]);

/** A sum for each currency: sums of different ones are never added. */
export type Amounts = Readonly<Record<string, number>>;

export interface Share {
  readonly records: number;
  readonly tokens: number;
  /** Micro-units. */
  readonly amounts: Amounts;
}

/** What was spent since the report before. */
export interface CostReport {
  readonly book: string;
  /** ms since the epoch. */
  readonly from: number;
  readonly until: number;
  readonly spent: Share;
  /** Records without a price. */
  readonly unpriced: number;
  readonly bySession: Readonly<Record<string, Share>>;
  readonly byModel: Readonly<Record<string, Share>>;
  /** Since the beginning. */
  readonly total: Share;
}

const shareSchema = z.object({
  records: z.int(),
  tokens: z.int(),
  amounts: z.record(z.string(), z.number()),
});
const sharesSchema = z.record(z.string(), shareSchema);

/** A report as others get it. */
export const costReportSchema: z.ZodType<CostReport> = z.object({
  book: z.string(),
  from: z.number(),
  until: z.number(),
  spent: shareSchema,
  unpriced: z.int(),
  bySession: sharesSchema,
  byModel: sharesSchema,
  total: shareSchema,
});

export const COSTS_STATUSES = ['quiet', 'reporting'] as const;

export interface BookView {
  readonly id: string;
  readonly status: (typeof COSTS_STATUSES)[number];
  readonly total: Share;
  readonly unpriced: number;
  /** Since the last report. */
  readonly current: Omit<CostReport, 'total' | 'book' | 'until'>;
  readonly nextReportAt: number | null;
}

export type CostsReply =
  | {
      readonly accepted: true;
      /** It was counted before. */
      readonly known: boolean;
      readonly amountMicros: number | null;
    }
  | {
      readonly accepted: false;
      readonly code: 'bad_action' | 'not_permitted' | 'wrong_amount' | 'book_full';
      readonly reason: string;
    };
