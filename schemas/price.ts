/** Prices of tokens: what a model costs from when to when. All money is whole micro-units (millionths) of a currency. */
import { z } from 'zod';

/** Type of the actors; a realm has one table. */
export const PRICES_TYPE = 'prices';
export const PRICES_DEFAULT = 'main';
/** Rows of one table: it is one actor's state, and read whole. */
export const PRICE_ROWS_MAX = 2_000;
/** Rows that one message brings. */
export const PRICES_APPLIED_MAX = 500;
/** A million units for a million tokens: nothing costs so much, and no sum of a record leaves the exact numbers. */
const PER_MILLION_MAX = 1_000_000_000_000;

/**
 * How a token was used. `input` and `output` are billed apart from what a cache gave or took: a token is of one class. What
 * a row does not price costs what the class behind it costs, see `CLASS_FALLBACK`.
 */
export const TOKEN_CLASSES = ['input', 'cachedInput', 'cacheWrite', 'cacheWriteLong', 'output'] as const;
export type TokenClass = (typeof TOKEN_CLASSES)[number];

/** Whose price counts where a row has none of its own. */
export const CLASS_FALLBACK = {
  cachedInput: 'input',
  cacheWrite: 'input',
  cacheWriteLong: 'cacheWrite',
} as const;

const micros = z.int().min(0).max(PER_MILLION_MAX);

export const perMillionSchema = z
  .strictObject({
    input: micros,
    cachedInput: micros.optional().describe('Read from the provider’s cache; as `input` when absent.'),
    cacheWrite: micros.optional().describe('Written to the provider’s cache; as `input` when absent.'),
    cacheWriteLong: micros.optional().describe('The same, kept for longer; as `cacheWrite` when absent.'),
    output: micros,
  })
  .describe('Micro-units for a million tokens.');
export type PerMillion = z.infer<typeof perMillionSchema>;

export const providerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, { error: 'expected a name: a-z, 0-9 and . _ -, 63 at most' });
export const modelName = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/, { error: 'expected a name without spaces, 200 characters at most' });
const plainModel = modelName.refine((name) => !name.includes('*'), {
  error: 'a star stands at the end of an alias only',
});
const alias = modelName.refine((name) => !name.slice(0, -1).includes('*') && name !== '*', {
  error: 'a star stands at the end of an alias only, behind the beginning of a name',
});
export const currencyCode = z
  .string()
  .regex(/^[A-Z]{3}$/, { error: 'expected three capital letters: USD, EUR' });
const at = z.int().min(0).max(8_640_000_000_000_000);

export const priceRowSchema = z
  .strictObject({
    id: z.string().min(1).max(300).describe('`<provider>/<model>@<from>`; what a record names.'),
    provider: providerName,
    model: plainModel,
    aliases: z
      .array(alias)
      .max(20)
      .default([])
      .describe('Other names of the model; a star at the end stands for any ending.'),
    currency: currencyCode,
    from: at.describe('In force from then on, ms since the epoch.'),
    until: at
      .nullable()
      .default(null)
      .describe('Up to then, that moment not included; null: until the next row of the model begins.'),
    perMillion: perMillionSchema,
    outputMax: z
      .int()
      .min(1)
      .max(100_000_000)
      .optional()
      .describe('Tokens that one answer has at most; what is reserved where a request names no limit.'),
  })
  .describe('What a model costs, from when to when.');
export type PriceRow = z.infer<typeof priceRowSchema>;

export const priceActionSchema = z.discriminatedUnion('action', [
  z.object({
    action: z.literal('apply'),
    rows: z.array(priceRowSchema).min(1).max(PRICES_APPLIED_MAX),
    /** Lets a row that is there say something else from now on. */
    replace: z.boolean().default(false),
  }),
  z.object({ action: z.literal('get'), skip: z.int().min(0).default(0).describe('Rows of earlier pages.') }),
]);

export interface PriceTable {
  /** Grows with every change. */
  readonly revision: number;
  /** By provider, model and time. */
  readonly rows: readonly PriceRow[];
}

/** Answer of `get`: rows of one revision, as many as an answer holds. */
export interface PricePage extends PriceTable {
  /** What to skip for the next page; null behind the last. */
  readonly next: number | null;
}

export type PriceReply =
  | {
      readonly accepted: true;
      readonly revision: number;
      readonly added: readonly string[];
      readonly changed: readonly string[];
      /** Rows that were there before. */
      readonly same: number;
    }
  | {
      readonly accepted: false;
      readonly code: 'bad_action' | 'not_permitted' | 'price_conflict' | 'table_full';
      readonly reason: string;
      readonly conflicts?: readonly { readonly row: string; readonly what: string }[];
    };

/** What a lookup finds. An unknown model is told, and never costs nothing. */
export type Quote =
  | { readonly found: true; readonly row: PriceRow }
  | { readonly found: false; readonly code: 'unknown_model' | 'no_price_then'; readonly reason: string };
