/**
 * What a sandboxed task decides: queued → preparing → running → done, failed or killed. Pure.
 *
 * T1  A step at a time: a turn in the queue of its tenant, then the component made ready, then the run. Each is an effect
 *     whose result is an entry, so the log says how far it came.
 * T2  Every attempt is an entry with its fuel, time, memory, host calls, exit and the digest of the component.
 * T3  What the guest did to itself it would do again: only failures of the chassis are tried anew, so often and no more.
 *     A node that crashed says so when it is there again, and that is one.
 * T4  Revoked is revoked: the run under way hears of it, and a later attempt begins with it.
 * T5  Only its component begins it, and once; only who submitted it and who steers end it. To others it is not there: what
 *     went in and came out is the tenant's.
 * T6  What has ended stays so: no step that was under way brings it back.
 */
import type { Heard, Outcome } from '#machines/decided';
import { TIMER_EVENT } from '#machines/decided';
import { FabricError, type WireError } from '#schemas/fabric-error';
import {
  faultOf,
  outcomeOf,
  runSchema,
  SANDBOX_DRIVER,
  type SandboxAction,
  type SandboxBegin,
  type SandboxRefusal,
  type SandboxReply,
  type SandboxRun,
  type SandboxView,
  sandboxActionSchema,
  sandboxErrors,
} from '#schemas/sandbox';

type Decided = Outcome<SandboxView>;

/** Ids of its effects, in their order. */
export const STEPS = ['turn', 'prepare', 'run'] as const;
type Step = (typeof STEPS)[number];
const REVOKE = 'revoke';
export const AGAIN = 'again';
const DONE = 'xstate.done.actor.';
const ERROR = 'xstate.error.actor.';

const AGAIN_MS = 500;
const AGAIN_MS_MAX = 30_000;

const STEERING: ReadonlySet<string> = new Set(['operator', 'person', 'supervisor', 'governor']);

export function decideSandbox(context: SandboxView, heard: Heard): Decided {
  const { event, from = '', at } = heard;
  const isOver = context.endedAt !== null;
  const isOfItsOwn = [TIMER_EVENT, DONE, ERROR].some((prefix) => event.type.startsWith(prefix));
  if (isOver && isOfItsOwn) return {}; // T6.
  if (event.type === `${TIMER_EVENT}${AGAIN}`) return queue({ ...context, retryAt: null }, { retryAt: null });
  if (event.type.startsWith(DONE))
    return stepDone(context, event.type.slice(DONE.length), event['output'], at);
  if (event.type.startsWith(ERROR))
    return stepFailed(context, event.type.slice(ERROR.length), event['error'] as WireError, at);
  const { type, ...rest } = event;
  const parsed = sandboxActionSchema.safeParse({ ...rest, action: type.slice('sandbox.'.length) });
  const { task } = context;
  const isBegun = parsed.data?.action === 'begin' && from === context.of; // T5.
  if (task === null && !isBegun)
    throw new FabricError(sandboxErrors.unknown_sandbox, `There is no task ${context.id}`);
  if (!parsed.success) return refused('bad_sandbox_action', 'this is not an action of a sandboxed task');
  const action = parsed.data;
  if (task === null) return action.action === 'begin' ? begin(context, action.task, at) : {};
  if (action.action === 'begin') return {};
  const isSteering = STEERING.has(from.slice(0, Math.max(0, from.indexOf('/'))));
  if (action.action === 'get') return view(context, from, isSteering);
  if (from !== task.by && !isSteering)
    return refused('sandbox_not_permitted', `${from} may not ${action.action} the task of ${task.by}`);
  if (isOver) return refused('sandbox_ended', `${context.id} is ${context.status}`);
  return action.action === 'kill' ? kill(context, action, from, at) : revoke(context, action, from);
}

/** T5. */
function view(context: SandboxView, from: string, isSteering: boolean): Decided {
  const { task, of, id } = context;
  if (isSteering || from === of || from === task?.by || from === task?.tenant) return { reply: context };
  throw new FabricError(sandboxErrors.sandbox_not_permitted, `${from || 'somebody'} may not look at ${id}`);
}

function begin(context: SandboxView, task: SandboxBegin, at: number): Decided {
  return queue({ ...context, task, queuedAt: at }, { task, queuedAt: at });
}

/** T1. */
function queue(context: SandboxView, patch: Partial<SandboxView>): Decided {
  const tenant = context.task?.tenant;
  return {
    ...moved(context, { ...patch, status: 'queued' }),
    effects: [{ id: 'turn', driver: SANDBOX_DRIVER, input: { want: 'turn', tenant } }],
  };
}

function stepDone(context: SandboxView, step: string, output: unknown, at: number): Decided {
  const { task } = context;
  if (task === null) return {};
  if (step === 'turn')
    return {
      ...moved(context, { status: 'preparing' }),
      effects: [
        { id: 'prepare', driver: SANDBOX_DRIVER, input: { want: 'prepare', component: task.component } },
      ],
    };
  if (step === 'prepare') {
    const attempts = context.attempts + 1;
    const input = { want: 'run', task, at, revoked: context.revoked !== null };
    return {
      ...moved(context, { status: 'running', attempts }),
      effects: [{ id: 'run', driver: SANDBOX_DRIVER, input }],
    };
  }
  return step === 'run' ? ended(context, runSchema.parse(output), at) : {};
}

/** What a driver throws says that it never came to a run, or that nothing is known of it. */
function stepFailed(context: SandboxView, step: string, error: WireError, at: number): Decided {
  if (context.task === null || !STEPS.includes(step as Step)) return {};
  const { code, message, retryable } = error;
  return ended(
    context,
    {
      exit: code,
      fault: faultOf(code),
      retryable,
      message: message.slice(0, 4_096),
      component: context.task.component,
      at,
      fuel: 0,
      memoryBytes: 0,
      ms: 0,
      hostCalls: 0,
      output: null,
      outputSha256: null,
      transcript: null,
      logs: [],
      level: '',
    },
    at,
  );
}

/** T2, T3. */
function ended(context: SandboxView, run: SandboxRun, at: number): Decided {
  const { retries = 0, reduced = false } = context.task ?? {};
  const outcome = outcomeOf(run, reduced || context.revoked !== null);
  // An attempt that never came to a run is one, too.
  const attempts = context.status === 'running' ? context.attempts : context.attempts + 1;
  const isAgain = run.fault === 'chassis' && run.retryable && attempts <= retries;
  const { output: _, logs: __, ...told } = run;
  const isDone = run.fault === null;
  const delayMs = Math.min(AGAIN_MS_MAX, AGAIN_MS * 2 ** (attempts - 1));
  return {
    ...(isAgain
      ? moved(context, { status: 'queued', run, attempts, retryAt: at + delayMs })
      : moved(context, { status: isDone ? 'done' : 'failed', run, attempts, endedAt: at })),
    ...(isAgain && { timers: [{ id: AGAIN, delayMs }] }),
    ...(outcome !== undefined && {
      mail: [{ to: context.of, event: { type: 'component.ran', ms: run.ms, outcome } }],
    }),
    log: { severity: isDone ? 'INFO' : 'WARN', message: { type: 'sandbox_run', ...told, attempt: attempts } },
  };
}

function kill(
  context: SandboxView,
  { reason }: Extract<SandboxAction, { action: 'kill' }>,
  from: string,
  at: number,
): Decided {
  const why = `${from}: ${reason}`;
  return {
    ...moved(context, { status: 'killed', reason: why, endedAt: at, retryAt: null }),
    ended: [stepOf(context.status)],
    cancelled: [AGAIN],
    reply: { accepted: true, status: 'killed' } satisfies SandboxReply,
    log: { severity: 'WARN', message: { type: 'sandbox_killed', reason: why } },
  };
}

/** T4. */
function revoke(
  context: SandboxView,
  { reason }: Extract<SandboxAction, { action: 'revoke' }>,
  from: string,
): Decided {
  const { status } = context;
  const reply: SandboxReply = { accepted: true, status };
  if (context.revoked !== null) return { reply };
  const revoked = `${from}: ${reason}`;
  return {
    ...moved(context, { revoked }),
    ...(status === 'running' && {
      effects: [{ id: REVOKE, driver: SANDBOX_DRIVER, input: { want: 'revoke' } }],
    }),
    reply,
    log: { severity: 'WARN', message: { type: 'grant_revoked', reason: revoked } },
  };
}

function stepOf(status: SandboxView['status']): Step {
  if (status === 'running') return 'run';
  return status === 'preparing' ? 'prepare' : 'turn';
}

function moved(context: SandboxView, patch: Partial<SandboxView>): Decided {
  const { id, of, status, attempts, run } = { ...context, ...patch };
  const told =
    // Not what came out, nor its digest: short answers are guessed from it, and long ones are found by it.
    run === null ? null : { exit: run.exit, fuel: run.fuel, ms: run.ms };
  return { patch, tell: [{ type: `sandbox.${status}`, id, of, status, attempts, run: told }] };
}

function refused(code: SandboxRefusal, reason: string): Decided {
  return { reply: { accepted: false, code, reason } satisfies SandboxReply };
}
