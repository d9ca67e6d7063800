/** Circuit breakers of workers and providers: what is asked of them, and how they are shown. */
import { z } from 'zod';
import { errorKinds } from './fabric-error.ts';

/** Type of the actors; the id is whose breaker it is, `session:ndi`, `provider:openai`. */
export const BREAKER_TYPE = 'breaker';
/** Failures in a row that open it: once is chance, twice is bad luck. */
export const FAILURES_MAX_DEFAULT = 3;
/** Until the first probe; each failed probe doubles it. */
export const COOL_DOWN_MS_DEFAULT = 60_000;
export const COOL_DOWN_MS_MAX_DEFAULT = 900_000;
/** A probe of which nothing is heard for so long has failed. */
export const PROBE_MS_DEFAULT = 300_000;

const address = z.string().regex(/^[a-z][a-z0-9-]{0,30}\/[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,199}$/, {
  error: 'expected an address type/id',
});
const reason = z.string().trim().min(1).max(2_000);

/** Input of the kind. */
export const breakerInputSchema = z
  .strictObject({
    failuresMax: z.int().min(1).max(1_000).default(FAILURES_MAX_DEFAULT).describe('In a row.'),
    coolDownMs: z.int().min(1).max(86_400_000).default(COOL_DOWN_MS_DEFAULT),
    coolDownMsMax: z.int().min(1).max(86_400_000).default(COOL_DOWN_MS_MAX_DEFAULT),
    probeMs: z.int().min(1).max(86_400_000).default(PROBE_MS_DEFAULT),
    workers: z
      .boolean()
      .default(true)
      .describe(
        'That of `session:NAME` tells `session/NAME` and `worker/NAME`; no where the realm has no such kinds.',
      ),
    tells: z.array(address).max(64).default([]).describe('Who hears of every opening, `council/main`.'),
  })
  .describe('How a breaker behaves.');
export type BreakerRules = z.infer<typeof breakerInputSchema>;

export const breakerActionSchema = z.discriminatedUnion('action', [
  /** Before a call: may it be made? */
  z.object({ action: z.literal('may') }),
  /** After it. */
  z.object({ action: z.literal('report'), ok: z.boolean(), reason: reason.optional() }),
  z.object({ action: z.literal('trip'), reason }),
  /** Opens with this budget: the address of its face. */
  z.object({ action: z.literal('guard'), budget: address }),
  z.object({ action: z.literal('reset'), reason }),
  z.object({ action: z.literal('get') }),
]);
export type BreakerAction = z.infer<typeof breakerActionSchema>;

export const BREAKER_STATUSES = ['closed', 'open', 'half_open'] as const;

export const breakerViewSchema = z
  .strictObject({
    id: z.string(),
    status: z.enum(BREAKER_STATUSES),
    failures: z.int().describe('In a row.'),
    cause: z.enum(['failures', 'budget', 'order']).nullable().describe('Why it is not closed.'),
    reason: z.string().nullable(),
    changedAt: z.int().nullable(),
    retryAt: z.int().nullable().describe('When it lets a probe through; null: when somebody resets it.'),
    probe: z.string().nullable().describe('Who probes now.'),
    budgets: z.array(z.strictObject({ budget: z.string(), exhausted: z.boolean() })),
  })
  .describe('A circuit breaker, as it is shown.');
export type BreakerView = z.infer<typeof breakerViewSchema>;

export const breakerErrors = errorKinds({
  bad_breaker_action: {
    retryable: false,
    help: 'docs/schemas/breaker-action.json says what a breaker may be asked.',
  },
  breaker_not_permitted: {
    retryable: false,
    help: 'Breakers are tripped and reset by operators, persons, the governor and the council, not by whom they guard.',
  },
  breaker_open: {
    retryable: true,
    help: 'Leave the work to others until it is closed: `infrafabric governor breakers` says why it is open and when it is tried again.',
  },
  budget_still_exhausted: {
    retryable: true,
    help: 'Give the budget more first: `infrafabric governor reset NAME --limit … --reason …` does both.',
  },
  breaker_closed: { retryable: false, help: 'There is nothing to reset.' },
});
export type BreakerRefusal = keyof typeof breakerErrors;

export type BreakerReply =
  | {
      readonly accepted: true;
      readonly breaker: BreakerView /** It is the one probe. */;
      readonly probe?: boolean;
    }
  | {
      readonly accepted: false;
      readonly code: BreakerRefusal;
      readonly reason: string;
      readonly breaker: BreakerView;
    };
