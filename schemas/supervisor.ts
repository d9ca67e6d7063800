/** What supervisors work with: their spec, and the plan that a changed spec gives. Words and meaning as in OTP. */
import { z } from 'zod';

export const STRATEGIES = ['one_for_one', 'one_for_all', 'rest_for_one'] as const;
export const RESTARTS = ['permanent', 'transient', 'temporary'] as const;

/** Restarts allowed within a period before a supervisor gives up: a crash or two heals, a crash loop escalates. */
export const INTENSITY_DEFAULT = 3;
export const PERIOD_MS_DEFAULT = 5_000;
/** Intensity and so the restart times a supervisor keeps. */
export const INTENSITY_MAX = 1_000;
/** Children of one supervisor: its spec and its children's states are one actor state. */
export const CHILDREN_MAX = 10_000;
/** Nesting of supervisors: deeper trees are a mistake in a config. */
export const SUPERVISOR_DEPTH_MAX = 16;

export const SUPERVISOR_TYPE = 'supervisor';
export const ROOT_SUPERVISOR = 'supervisor/root';
export const SUPERVISOR_MACHINE = 'supervisor@1';

/** Which children follow when one ends: only it, all, or it and those started after it. */
export type Strategy = (typeof STRATEGIES)[number];
/** Always restarted, restarted after an error only, or never. */
export type Restart = (typeof RESTARTS)[number];

export interface ChildSpec {
  /** Unique within its supervisor. */
  readonly id: string;
  readonly address: string;
  /** `name@version`. */
  readonly machine: string;
  readonly restart: Restart;
  readonly input?: unknown;
  /** Set for nested supervisors; it is then the child's input. */
  readonly supervisor?: SupervisorSpec | undefined;
}

export interface SupervisorSpec {
  readonly strategy: Strategy;
  readonly intensity: number;
  readonly periodMs: number;
  /** Address of the budget without which its children do not run. */
  readonly budget?: string | undefined;
  readonly children: readonly ChildSpec[];
}

export const childSpecSchema: z.ZodType<ChildSpec> = z.strictObject({
  id: z.string().min(1).max(200),
  address: z.string().min(3).max(232),
  machine: z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]*@[1-9]\d*$/),
  restart: z.enum(RESTARTS),
  input: z.unknown().optional(),
  get supervisor(): z.ZodOptional<z.ZodType<SupervisorSpec>> {
    return supervisorSpecSchema.optional();
  },
});

export const supervisorSpecSchema: z.ZodType<SupervisorSpec> = z
  .strictObject({
    strategy: z.enum(STRATEGIES),
    intensity: z.int().min(0).max(INTENSITY_MAX),
    periodMs: z.int().min(1),
    budget: z.string().min(3).max(232).optional(),
    children: z.array(childSpecSchema).max(CHILDREN_MAX),
  })
  .describe('A supervision tree, as supervisors and the admin API carry it.');

export const planItemSchema = z.strictObject({
  address: z.string(),
  machine: z.string(),
  /** Why, in words a person reads: `input changed`. */
  why: z.string(),
  /** Migrations and restarts: the machine before. */
  from: z.string().optional(),
});

/** One line of a plan. */
export type PlanItem = z.infer<typeof planItemSchema>;

/** What applying a spec over another would do, in the order it is done within each list. */
export const planSchema = z.strictObject({
  start: z.array(planItemSchema),
  stop: z.array(planItemSchema),
  restart: z.array(planItemSchema),
  migrate: z.array(planItemSchema),
  /** Supervisors and children whose rules change while they live on. */
  update: z.array(planItemSchema),
  /** Children that stay as they are. */
  unchanged: z.int(),
});

export type Plan = z.infer<typeof planSchema>;
