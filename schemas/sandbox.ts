/** Sandboxed tasks: what one is given, what bounds it, and what became of it. */
import { z } from 'zod';
import { errorKinds } from './fabric-error.ts';
import { grantSchema } from './grant.ts';
import { byteSize, duration, formatBytes, formatDuration } from './units.ts';

/** Type of the actors: `sandbox/word-count.7` is the seventh task of `component/word-count`. */
export const SANDBOX_TYPE = 'sandbox';
/** Name of the driver that runs them. */
export const SANDBOX_DRIVER = 'sandbox';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** What a guest compiled from a scripting language needs with some room. */
export const MEMORY_BYTES_DEFAULT = 256 * MIB;
/** A unit is about one instruction: some seconds of work. */
export const FUEL_DEFAULT = 1_000_000_000;
export const WALL_MS_DEFAULT = 300_000;
export const CALLS_PER_SECOND_DEFAULT = 10;
export const CALL_BURST_DEFAULT = 20;
export const OUTPUT_BYTES_DEFAULT = MIB;
export const LOG_BYTES_DEFAULT = 64 * KIB;
/** Of attempts after the first, and only for what the guest is not to blame for. */
export const RETRIES_DEFAULT = 2;
/** Lines of its log that are kept with a run, and their length. */
export const LOG_LINES_MAX = 50;
export const LOG_CHARS_MAX = 400;
/** The longest input of a task. */
export const INPUT_BYTES_MAX = 64 * MIB;
/** Longer inputs and outputs lie in the object store; the log holds their digest. */
export const INLINE_CHARS_MAX = 16 * KIB;

const limitFields = {
  memoryBytes: byteSize(64 * KIB, 4 * GIB),
  fuel: z.int().min(1).describe('Work, counted the same on every machine: about one instruction each.'),
  wallMs: duration(1, 3_600_000).describe('Wall clock.'),
  callsPerSecond: z.number().min(0.001).max(10_000).describe('Calls to the world.'),
  callBurst: z.int().min(1).max(100_000).describe('Calls at once.'),
  outputBytes: byteSize(0, 64 * MIB),
  logBytes: byteSize(0, 16 * MIB),
};

export const taskLimitsSchema = z
  .strictObject({
    memoryBytes: limitFields.memoryBytes.prefault(formatBytes(MEMORY_BYTES_DEFAULT)),
    fuel: limitFields.fuel.default(FUEL_DEFAULT),
    wallMs: limitFields.wallMs.prefault(formatDuration(WALL_MS_DEFAULT)),
    callsPerSecond: limitFields.callsPerSecond.default(CALLS_PER_SECOND_DEFAULT),
    callBurst: limitFields.callBurst.default(CALL_BURST_DEFAULT),
    outputBytes: limitFields.outputBytes.prefault(formatBytes(OUTPUT_BYTES_DEFAULT)),
    logBytes: limitFields.logBytes.prefault(formatBytes(LOG_BYTES_DEFAULT)),
  })
  .describe('Bounds of one run; each has an error of its own.');

/** What one task asks for, where that is less than its contract has. */
export const askedLimitsSchema = z.strictObject(limitFields).partial();
export type TaskLimits = z.infer<typeof taskLimitsSchema>;

export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, { error: 'expected a SHA-256 in hex' });

/** Bytes that go in or out: short text as it is, everything else by what it is called in the object store. */
export const blobSchema = z.union([
  z.strictObject({ text: z.string().max(INLINE_CHARS_MAX) }),
  z.strictObject({ sha256: sha256Schema, bytes: z.int().min(0).max(INPUT_BYTES_MAX) }),
]);
export type Blob = z.infer<typeof blobSchema>;

/** Where bytes of that digest lie in the object store, once and for good. */
export function blobName(sha256: string): string {
  return `body/data/${sha256}`;
}

export function componentName(sha256: string): string {
  return `body/component/${sha256}`;
}

/** Whom a failure speaks against: the component, whoever asked for the run, or the chassis itself. */
export const FAULTS = ['component', 'caller', 'chassis'] as const;
export type Fault = (typeof FAULTS)[number];

/** What these codes begin with is the guest's own doing; the rest of it is the chassis's. */
const OWN_DOING = /^(?:task|component)_/;
/** Whoever asked took it back, or asked for what nobody here gives. */
const OF_THE_CALLER: ReadonlySet<string> = new Set([
  'task_cancelled',
  'jail_limits_refused',
  'task_input_exceeded',
]);
/** No answer came in time: whoever waited does not care why. */
const UNANSWERED = 'task_time_exceeded';

export function faultOf(code: string): Fault {
  if (OF_THE_CALLER.has(code)) return 'caller';
  return OWN_DOING.test(code) ? 'component' : 'chassis';
}

/**
 * What a run says of its component: good, bad, not answered at all; undefined where it says nothing. A component that was
 * given less than its contract has may fail for that: whoever gave less could speak against it otherwise.
 */
export function outcomeOf(
  { exit, fault }: Pick<SandboxRun, 'exit' | 'fault'>,
  isReduced: boolean,
): RunOutcome | undefined {
  if (fault === null) return 'good';
  if (fault === 'caller' || (fault === 'component' && isReduced)) return undefined;
  return fault === 'component' && exit !== UNANSWERED ? 'bad' : 'none';
}

export const RUN_OUTCOMES = ['good', 'bad', 'none'] as const;
export type RunOutcome = (typeof RUN_OUTCOMES)[number];

const usageSchema = z.strictObject({
  fuel: z.int().min(0),
  memoryBytes: z.int().min(0).describe('At its highest.'),
  ms: z.number().min(0).describe('Wall clock in the jail.'),
  hostCalls: z.int().min(0),
});

/** One attempt, as the driver reports it and the log keeps it. */
export const runSchema = z
  .strictObject({
    exit: z.string().max(100).describe('`done`, or the code of what ended it.'),
    fault: z.enum(FAULTS).nullable().describe('Null: it is done.'),
    retryable: z.boolean(),
    message: z.string().max(4_096).nullable(),
    component: sha256Schema,
    at: z.int().describe('When it began, ms since the epoch: the logical clock of the guest.'),
    ...usageSchema.shape,
    output: blobSchema.nullable(),
    outputSha256: sha256Schema.nullable(),
    transcript: z
      .strictObject({ sha256: sha256Schema, bytes: z.int() })
      .nullable()
      .describe('What the world answered, in the object store; null where it was not asked.'),
    logs: z.array(z.string().max(LOG_CHARS_MAX)).max(LOG_LINES_MAX).describe('Its last lines.'),
    level: z.string().max(40).describe('Of the jail.'),
  })
  .describe('One run of a sandboxed task.');
export type SandboxRun = z.infer<typeof runSchema>;

/** Mail of a component's actor: what there is to run. */
export const sandboxBeginSchema = z.strictObject({
  component: sha256Schema,
  by: z.string().max(240).describe('Who submitted it.'),
  tenant: z.string().max(240),
  input: blobSchema,
  limits: taskLimitsSchema,
  grant: grantSchema,
  seed: z.int().min(0),
  retries: z.int().min(0).max(10),
  reduced: z
    .boolean()
    .default(false)
    .describe(
      'Its limits or its grant are less than those of the contract: a failure says nothing of the component.',
    ),
});
export type SandboxBegin = z.infer<typeof sandboxBeginSchema>;

/** What may be said to a sandboxed task. */
export const sandboxActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('begin'), task: sandboxBeginSchema }),
  z.object({ action: z.literal('kill'), reason: z.string().min(1).max(2_000) }),
  /** Every call from now on is refused; the run itself goes on. */
  z.object({ action: z.literal('revoke'), reason: z.string().min(1).max(2_000) }),
  z.object({ action: z.literal('get') }),
]);
export type SandboxAction = z.infer<typeof sandboxActionSchema>;

export const SANDBOX_STATUSES = [
  'absent',
  'queued',
  'preparing',
  'running',
  'done',
  'failed',
  'killed',
] as const;
export type SandboxStatus = (typeof SANDBOX_STATUSES)[number];

/** A sandboxed task, as it is shown. */
export interface SandboxView {
  readonly id: string;
  readonly status: SandboxStatus;
  /** Its component's actor. */
  readonly of: string;
  readonly task: SandboxBegin | null;
  /** Why its grant counts no more. */
  readonly revoked: string | null;
  readonly attempts: number;
  /** The last attempt. */
  readonly run: SandboxRun | null;
  /** Why it was killed. */
  readonly reason: string | null;
  readonly queuedAt: number | null;
  readonly retryAt: number | null;
  readonly endedAt: number | null;
}

export const sandboxErrors = errorKinds({
  unknown_sandbox: {
    retryable: false,
    help: 'Submit it first: `infrafabric chassis submit COMPONENT`; `infrafabric chassis list` shows what there is.',
  },
  bad_sandbox_action: { retryable: false, help: 'A sandboxed task can be asked to get, revoke and kill.' },
  sandbox_not_permitted: {
    retryable: false,
    help: 'Only who submitted a task, its tenant, operators and persons may look at it; the tenant may not revoke its grant or kill it.',
  },
  sandbox_ended: { retryable: false, help: 'It is over: `infrafabric chassis show ID` says how.' },
});
export type SandboxRefusal = keyof typeof sandboxErrors;

export type SandboxReply =
  | { readonly accepted: true; readonly status: SandboxStatus }
  | { readonly accepted: false; readonly code: SandboxRefusal; readonly reason: string };
