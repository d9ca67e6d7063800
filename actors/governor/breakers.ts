/** The client of breakers over the ordinary client: ask before a call, report after it. */
import type { Client } from '#runtime/client/client';
import { BREAKER_TYPE, type BreakerReply, type BreakerView, breakerErrors } from '#schemas/breaker';
import { FabricError } from '#schemas/fabric-error';
import { governorErrors } from './errors.ts';

export interface Breakers {
  /** Throws `breaker_open`. Who may probe has to report. */
  may(id: string): Promise<{ readonly isProbe: boolean }>;
  report(id: string, ok: boolean, reason?: string): Promise<BreakerView>;
  get(id: string): Promise<BreakerView>;
  trip(id: string, reason: string): Promise<BreakerView>;
  /** Opens with a budget: an account of a tree. */
  guard(id: string, budget: string): Promise<BreakerView>;
  /** Throws `budget_still_exhausted` until the budget has room. */
  reset(id: string, reason: string): Promise<BreakerView>;
}

/**
 * Ids are whose breakers they are: `session:ndi`, `provider:openai`.
 *
 * @example
 * const breakers = openBreakers(client);
 * await breakers.may('provider:openai');
 * await breakers.report('provider:openai', false, 'HTTP 529');
 */
export function openBreakers(client: Client): Breakers {
  const say = async (id: string, action: string, more: object = {}) => {
    const event = { type: `breaker.${action}`, ...more };
    const reply = (await client.ask(`${BREAKER_TYPE}/${id}`, event)).reply as BreakerReply;
    if (reply.accepted) return reply;
    const kind = breakerErrors[reply.code] ?? governorErrors.bad_ledger;
    throw new FabricError(kind, reply.reason, { details: { breaker: reply.breaker } });
  };
  return {
    may: async (id) => ({ isProbe: (await say(id, 'may')).probe === true }),
    report: async (id, ok, reason) =>
      (await say(id, 'report', { ok, ...(reason !== undefined && { reason }) })).breaker,
    get: async (id) => (await say(id, 'get')).breaker,
    trip: async (id, reason) => (await say(id, 'trip', { reason })).breaker,
    guard: async (id, budget) => (await say(id, 'guard', { budget })).breaker,
    reset: async (id, reason) => (await say(id, 'reset', { reason })).breaker,
  };
}
