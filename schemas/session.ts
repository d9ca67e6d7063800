/** Sessions: workers that claim tasks; what they are, what is said to them, and how they are shown. */
import { z } from 'zod';
import { LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN } from './task.ts';

/** Type of the actors. */
export const SESSION_TYPE = 'session';

/** A weight never gets lower: who has none left could not win anything back. */
export const WEIGHT_MIN = 0.1;
export const WEIGHT_MAX = 2;

export const profileSchema = z.strictObject({
  baseWeight: z.number().min(0).max(WEIGHT_MAX).default(1),
  successBonus: z.number().min(0).max(2).default(0.5),
  /** Confidence in percent from which a result counts as a success. */
  successThreshold: z.number().min(0).max(100).default(75),
  tier: z.enum(['baseline', 'specialist', 'exploratory']).default('baseline'),
});
export type Profile = z.infer<typeof profileSchema>;

const id = z.string().min(1).max(200);
const capabilities = z.array(z.string().max(200)).max(200);

export const sessionInputSchema = z
  .object({
    id,
    capabilities: capabilities.default([]),
    profile: profileSchema.prefault({}),
    swarm: id.optional().describe('The swarm it belongs to.'),
  })
  .describe('A session, as a board names it.');

export type SessionInput = z.infer<typeof sessionInputSchema>;

/** What may be asked of a session. */
export const sessionActionSchema = z.discriminatedUnion('action', [
  z.object({
    action: z.literal('register'),
    capabilities: capabilities.optional(),
    profile: profileSchema.optional(),
    swarm: id.optional(),
    /** Name of the lease under which it is present; absent: present until it leaves. */
    lease: z.string().min(1).max(64).optional(),
    leaseMs: z.int().min(LEASE_MS_MIN).max(LEASE_MS_MAX).default(LEASE_MS_DEFAULT),
    /** Only where the end of this lease is what sent it away; otherwise nothing happens. */
    back: z.boolean().optional(),
    /** Says what it can do, and nothing of whether it is there: who was never registered is away from then. */
    keep: z.boolean().optional(),
  }),
  z.object({ action: z.literal('presence'), status: z.enum(['here', 'away']) }),
  z.object({
    action: z.literal('leave'),
    /** The lease under which it was present; where that is no more the session's, nothing happens. */
    lease: z.string().min(1).max(64).optional(),
  }),
  /** Looks for work: the best match arrives as the live event `session.offered`. */
  z.object({ action: z.literal('next') }),
  /** Says no to an offer: it goes to the next, and comes not again before `next`. */
  z.object({ action: z.literal('decline'), task: id, reason: z.string().max(2_000).optional() }),
  /** Bids in a round under its own weight. */
  z.object({ action: z.literal('bid'), round: id, confidence: z.number().min(0).max(1) }),
  z.object({ action: z.literal('get') }),
]);
export type SessionAction = z.infer<typeof sessionActionSchema>;
export type SessionActionInput = z.input<typeof sessionActionSchema>;

/** `absent`: never registered; `gone`: its lease ended, or it left. */
export const SESSION_STATUSES = ['absent', 'idle', 'working', 'blocked', 'away', 'gone'] as const;
export type SessionStatus = (typeof SESSION_STATUSES)[number];

export const sessionViewSchema = z
  .strictObject({
    id: z.string(),
    status: z.enum(SESSION_STATUSES),
    capabilities: z.array(z.string()),
    profile: profileSchema,
    swarm: z.string().nullable(),
    weight: z.number().describe('0.1–2: what its word counts in a round.'),
    lateBloomer: z.boolean().describe('Rose from below .3 to above .7 within its last ten results.'),
    tasks: z.array(
      z.strictObject({ id: z.string(), token: z.int(), filler: z.boolean(), blocked: z.boolean() }),
    ),
    offered: z
      .strictObject({ task: z.string(), match: z.number(), filler: z.boolean() })
      .nullable()
      .describe('Work that was found for it and that it has not claimed.'),
    completed: z.int(),
    failed: z.int(),
    changedAt: z.int().nullable(),
  })
  .describe('A session, as it is shown.');
export type SessionView = z.infer<typeof sessionViewSchema>;

/** Names of a session's live events, `if.ev.session.<id>.session.<what>`; their body is `{type, session, …}`. */
export const SESSION_EVENTS = [
  'session.registered',
  'session.offered',
  'session.recalled',
  'session.help_wanted',
  /** `task`, `token`, `why`: completed, failed, released, expired, cancelled. */
  'session.claim_ended',
  'session.late_bloomer',
  'session.changed',
  'session.gone',
] as const;
export type SessionEventName = (typeof SESSION_EVENTS)[number];
