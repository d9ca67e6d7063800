/** What a component promises and may do: the service contract that is published with it, and how it keeps it. */
import { z } from 'zod';
import { errorKinds } from './fabric-error.ts';
import { addressPattern, grantSchema } from './grant.ts';
import {
  askedLimitsSchema,
  blobSchema,
  RETRIES_DEFAULT,
  RUN_OUTCOMES,
  sha256Schema,
  taskLimitsSchema,
} from './sandbox.ts';
import { duration } from './units.ts';
import { type Reputation, workerProfileSchema } from './worker.ts';

/** Type of the actors: `component/word-count` holds the contract and the record of word-count. */
export const COMPONENT_TYPE = 'component';
/** Runs over which its promises are judged. */
export const WINDOW_RUNS = 1_000;

/** Of a component. */
export const serviceName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, { error: 'expected a name: a-z, 0-9 and "-", 63 at most' });

export const sloSchema = z
  .strictObject({
    p99Ms: duration(1, 3_600_000).prefault('1s').describe('99 of 100 runs take no longer.'),
    successRate: z.number().min(0).max(1).default(0.99).describe('Share of answered runs that end well.'),
    availability: z.number().min(0).max(1).default(0.999).describe('Share of runs that are answered at all.'),
  })
  .describe('Promises, judged over the last 1,000 runs.');
export type Slo = z.infer<typeof sloSchema>;

export const serviceContractSchema = z
  .strictObject({
    name: serviceName,
    version: z
      .string()
      .regex(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/, { error: 'expected a version such as 1.0.0' })
      .default('1.0.0'),
    description: z.string().max(2_000).optional(),
    limits: taskLimitsSchema
      .prefault({})
      .describe('The most that a task of it may ask for, and its default.'),
    grant: grantSchema
      .prefault({})
      .describe('The most that a task of it may be granted. A task without a grant of its own has none.'),
    slo: sloSchema.prefault({}),
    retries: z
      .int()
      .min(0)
      .max(10)
      .default(RETRIES_DEFAULT)
      .describe('After failures of the chassis, never after its own.'),
    submitters: z
      .array(addressPattern)
      .max(64)
      .default([])
      .describe('Who may submit tasks besides operators and persons: `session/*`.'),
    worker: workerProfileSchema
      .pick({ capabilities: true, costPerHour: true, maxConcurrent: true, tier: true })
      .optional()
      .describe('Present: it is registered with the governor under its name, and its reputation goes there.'),
  })
  .describe('A service contract: what a component promises, and the most it may use.');
export type ServiceContract = z.infer<typeof serviceContractSchema>;

/** One task for a component. */
export const sandboxTaskSchema = z.strictObject({
  input: blobSchema.prefault({ text: '' }),
  limits: askedLimitsSchema.prefault({}),
  grant: grantSchema.optional().describe('Absent: nothing is granted.'),
  seed: z.int().min(0).default(0).describe('Of the random numbers the guest sees.'),
  retries: z.int().min(0).max(10).optional(),
  tenant: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._@+=~:/-]{0,199}$/)
    .optional()
    .describe('Whose keys it sees and whose process it runs in; only who steers names another than itself.'),
});
export type SandboxTask = z.infer<typeof sandboxTaskSchema>;

/** What may be said to a component. */
export const componentActionSchema = z.discriminatedUnion('action', [
  /** A contract comes into force, for the bytes of that digest in the object store. */
  z.object({
    action: z.literal('publish'),
    contract: serviceContractSchema,
    sha256: sha256Schema,
    bytes: z.int().min(1),
  }),
  /** Nothing is begun any more. */
  z.object({ action: z.literal('retire'), reason: z.string().min(1).max(2_000) }),
  z.object({ action: z.literal('submit'), task: sandboxTaskSchema }),
  /** Mail of a task that has ended. */
  z.object({
    action: z.literal('ran'),
    ms: z.number().min(0),
    outcome: z.enum(RUN_OUTCOMES).describe('It ended well, it ended badly, it was not answered.'),
  }),
  z.object({ action: z.literal('get') }),
]);
export type ComponentAction = z.infer<typeof componentActionSchema>;

export const COMPONENT_STATUSES = ['absent', 'published', 'retired'] as const;

/** How the promises are kept, over the window. */
export interface SloReport {
  /** Runs in the window. */
  readonly runs: number;
  /** Null: no run was answered. */
  readonly p99Ms: number | null;
  readonly successRate: number | null;
  readonly availability: number | null;
  /** Names of the promises that are broken. */
  readonly broken: readonly (keyof Slo)[];
}

/** A component, as it is shown. */
export interface ComponentView {
  readonly id: string;
  readonly status: (typeof COMPONENT_STATUSES)[number];
  readonly contract: ServiceContract | null;
  readonly sha256: string | null;
  readonly bytes: number | null;
  /** Tasks ever submitted. */
  readonly submitted: number;
  readonly slo: SloReport;
  readonly reputation: Reputation;
  readonly changedAt: number | null;
}

export const componentErrors = errorKinds({
  unknown_component: {
    retryable: false,
    help: 'Publish it first: `infrafabric chassis publish DIR`; `infrafabric chassis list` shows what there is.',
  },
  bad_component_action: {
    retryable: false,
    help: 'docs/schemas/component-action.json says what a component may be asked.',
  },
  component_not_permitted: {
    retryable: false,
    help: 'Operators and persons publish and retire; `submitters` of the contract says who else may submit tasks.',
  },
  component_retired: { retryable: false, help: 'Publish it again, or submit to another.' },
  old_contract: { retryable: false, help: 'Other bytes or another contract want a higher `version`.' },
  beyond_contract: {
    retryable: false,
    help: 'Ask for less, or publish a contract that allows more; `infrafabric chassis show COMPONENT` shows it.',
  },
});
export type ComponentRefusal = keyof typeof componentErrors;

export type ComponentReply =
  | {
      readonly accepted: true;
      readonly status: ComponentView['status'] /** Address of the new task. */;
      readonly task?: string;
    }
  | { readonly accepted: false; readonly code: ComponentRefusal; readonly reason: string };
