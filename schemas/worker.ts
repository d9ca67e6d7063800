/** Workers as the governor knows them: the profile somebody registered, and what became of their work since. */
import { z } from 'zod';
import {
  type AssignmentRules,
  assignmentRulesSchema,
  breakerStateSchema,
  needSchema,
  verdictSchema,
} from './assignment.ts';
import {
  type CapabilityProblem,
  type ReadCapabilities,
  type Taxonomy,
  taxonomySchema,
} from './capability.ts';

/** Types of the actors: `worker/ndi` says who `session/ndi` is; the registry holds the taxonomy. */
export const WORKER_TYPE = 'worker';
export const REGISTRY_TYPE = 'registry';
export const REGISTRY_DEFAULT = 'main';
export const CURRENCY_DEFAULT = 'USD';

/** Tasks a worker may have at once. */
export const CONCURRENT_MAX = 1_000;
/** Most capabilities one worker has. */
export const CAPABILITIES_MAX = 200;
/** A million an hour: above it a figure is a mistake. */
const PRICE_MICROS_MAX = 1e12;

const id = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@+=:-]*$/, { error: 'expected letters, digits and . _ @ + = : -' });
const currency = z.string().regex(/^[A-Z]{3}$/, { error: 'expected a currency such as USD' });

export const bloomSchema = z
  .strictObject({ fromTokens: z.int().min(0), toTokens: z.int().min(1) })
  .refine(({ fromTokens, toTokens }) => fromTokens <= toTokens, {
    error: 'fromTokens must not be above toTokens',
  })
  .describe('Lengths of context at which it is at its best, as a sweep over context lengths finds them.');
export type Bloom = z.infer<typeof bloomSchema>;

export const TIERS = ['baseline', 'specialist', 'exploratory'] as const;

export const workerProfileSchema = z
  .strictObject({
    id: id.describe('Of the session: `ndi` for session/ndi.'),
    capabilities: z.array(z.string().max(200)).max(CAPABILITIES_MAX).default([]),
    costPerHour: z
      .strictObject({
        micros: z.int().min(0).max(PRICE_MICROS_MAX).describe('Millionths of the currency.'),
        currency: currency.default(CURRENCY_DEFAULT),
      })
      .prefault({ micros: 0 }),
    model: z.string().min(1).max(100).optional(),
    maxConcurrent: z.int().min(1).max(CONCURRENT_MAX).default(1).describe('Tasks it may have at once.'),
    tier: z.enum(TIERS).default('baseline').describe('Shown, and usable in policy.'),
    bloom: bloomSchema.optional(),
  })
  .describe('A worker, as it is registered.');
export type WorkerProfile = z.infer<typeof workerProfileSchema>;
export type WorkerProfileInput = z.input<typeof workerProfileSchema>;

/** A file that `infrafabric governor register --file` reads. */
export const workersFileSchema = z
  .strictObject({ workers: z.array(workerProfileSchema).max(10_000) })
  .describe('Workers to register.');

/** What may be asked of the registry. */
export const registryActionSchema = z.discriminatedUnion('action', [
  /** A taxonomy comes into force; its version must be above that of the one before. */
  z.object({ action: z.literal('taxonomy'), taxonomy: taxonomySchema }),
  /** Reads the capabilities by the taxonomy in force and gives the profile to `worker/<id>`. */
  z.object({
    action: z.literal('register'),
    profile: workerProfileSchema,
    strict: z.boolean().default(false),
  }),
  /** How work is given; a worker goes by the rules of its registration. */
  z.object({ action: z.literal('rules'), rules: assignmentRulesSchema }),
  z.object({ action: z.literal('get') }),
]);
export type RegistryAction = z.infer<typeof registryActionSchema>;

export const registryInputSchema = z.strictObject({
  currency: currency
    .default(CURRENCY_DEFAULT)
    .describe('Of all prices: figures in two currencies do not compare.'),
  rules: assignmentRulesSchema.prefault({}),
});

export const REGISTRY_REFUSALS = [
  'bad_action',
  'not_permitted',
  'bad_taxonomy',
  'old_taxonomy',
  'bad_capability',
  'other_currency',
] as const;

export type RegistryReply =
  | {
      readonly accepted: true;
      /** Version of the taxonomy in force; null: none is. */
      readonly taxonomyVersion: number | null;
      /** Of a registration: what its capabilities were read as, and what there is to say about them. */
      readonly read?: ReadCapabilities;
    }
  | {
      readonly accepted: false;
      readonly code: (typeof REGISTRY_REFUSALS)[number];
      readonly reason: string;
      readonly problems?: readonly CapabilityProblem[];
    };

/** Answer of `get`. */
export interface RegistryView {
  readonly taxonomy: Taxonomy | null;
  readonly currency: string;
  readonly rules: AssignmentRules;
  readonly registrations: number;
}

export const reputationSchema = z
  .strictObject({ value: z.number(), at: z.int().describe('When it last moved; it decays since.') })
  .describe('0–1, as it was at its last move.');
export type Reputation = z.infer<typeof reputationSchema>;

/** What may be said to a worker's entry. */
export const workerActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('get') }),
  /** Of the registry. */
  z.object({
    action: z.literal('profile'),
    profile: workerProfileSchema,
    taxonomyVersion: z.int().nullable(),
    rules: assignmentRulesSchema,
  }),
  /** Of a task whose claim is checked; the answer is mail to it. */
  z.object({ action: z.literal('permit'), need: needSchema }),
  /** Of a breaker. */
  z.object({
    action: z.literal('breaker'),
    state: breakerStateSchema,
    reason: z.string().max(2_000).optional(),
  }),
  /** Of a budget. */
  z.object({ action: z.literal('budget'), leftMicros: z.int().nullable() }),
  /** Of the component that it is: what its runs showed. */
  z.object({ action: z.literal('reputation'), reputation: reputationSchema }),
  /** Nothing is given to it any more, until it is registered again. */
  z.object({ action: z.literal('retire'), reason: z.string().max(2_000).optional() }),
]);
export type WorkerAction = z.infer<typeof workerActionSchema>;

/** `absent`: named by a task, and never registered. */
export const WORKER_STATUSES = ['absent', 'registered', 'retired'] as const;

export const workerViewSchema = z
  .strictObject({
    id: z.string(),
    status: z.enum(WORKER_STATUSES),
    profile: workerProfileSchema.nullable(),
    taxonomyVersion: z.int().nullable().describe('By which its capabilities were read; null: by none.'),
    reputation: reputationSchema,
    completed: z.int(),
    failed: z.int(),
    tasks: z.array(z.string()).describe('Tasks it has now: its load.'),
    idleSince: z.int().nullable().describe('ms since the epoch.'),
    breaker: breakerStateSchema,
    budgetLeftMicros: z.int().nullable().describe('Null: no limit.'),
    last: verdictSchema.nullable().describe('What was decided last about it, and with which figures.'),
    changedAt: z.int().nullable(),
  })
  .describe('A worker, as it is shown.');
export type WorkerView = z.infer<typeof workerViewSchema>;

/** What a worker's entry answers to a task whose claim is checked. */
export const permitSchema = z.object({ permitted: z.boolean(), verdict: verdictSchema });
