/**
 * What a component decides: whose tasks it takes, with what they run, and what their runs say of it. Pure.
 *
 * C1  Only who steers publishes and retires: the contract says what strangers' code may do here.
 * C2  A contract only moves on: other bytes or other rules have a higher version, and all of them stand in the log. What
 *     was measured speaks of the bytes that ran: new ones begin anew.
 * C3  No task has more than the contract: not in limits, nor in its grant. What is not asked for is not granted.
 * C4  What its runs say comes from its own tasks, and from nobody else; a run that was given less than the contract has
 *     says so (`reduced`).
 * C5  Who may publish nothing brings no component to life, a refused message neither.
 */
import type { Heard, Outcome } from '#machines/decided';
import { firstReputation } from '#machines/registry/reputation';
import { FabricError } from '#schemas/fabric-error';
import { coversPattern, grantSchema } from '#schemas/grant';
import { SANDBOX_TYPE, type SandboxBegin } from '#schemas/sandbox';
import {
  type ComponentAction,
  type ComponentRefusal,
  type ComponentReply,
  componentActionSchema,
  componentErrors,
  type SandboxTask,
  type ServiceContract,
} from '#schemas/service-contract';
import { REGISTRY_DEFAULT, REGISTRY_TYPE } from '#schemas/worker';
import { type ComponentContext, componentView } from './context.ts';
import { reputationOf } from './reputation.ts';
import { EMPTY_WINDOW, reportOf, withRun } from './window.ts';
import { askedLimits, grantBeyond, limitsBeyond } from './within.ts';

type Decided = Outcome<ComponentContext>;
type Action<Name extends ComponentAction['action']> = Extract<ComponentAction, { readonly action: Name }>;

const STEERING: ReadonlySet<string> = new Set(['operator', 'person', 'supervisor', 'governor']);

export function decideComponent(context: ComponentContext, heard: Heard): Decided {
  const { event, from = '', at } = heard;
  const { type, ...rest } = event;
  const parsed = componentActionSchema.safeParse({ ...rest, action: type.slice('component.'.length) });
  const isAbsent = context.status === 'absent';
  if (isAbsent && (parsed.data?.action !== 'publish' || !isSteering(from))) {
    const error = parsed.data?.action === 'publish' ? 'component_not_permitted' : 'unknown_component';
    throw new FabricError(componentErrors[error], `Nobody published component ${context.id}`); // C5.
  }
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return refused('bad_component_action', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  const action = parsed.data;
  switch (action.action) {
    case 'get':
      return { reply: componentView(context) };
    case 'publish':
      return isSteering(from) ? publish(context, action, at) : forbidden(from, 'publish');
    case 'retire':
      if (!isSteering(from)) return forbidden(from, 'retire');
      return {
        ...changed(context, { status: 'retired' }, at, 'component.retired'),
        reply: accepted('retired'),
      };
    case 'submit':
      return submit(context, action.task, from);
    case 'ran':
      return from.startsWith(`${SANDBOX_TYPE}/${context.id}.`) ? ran(context, action, at) : {}; // C4.
  }
}

/** C1, C2. */
function publish(
  context: ComponentContext,
  { contract, sha256, bytes }: Action<'publish'>,
  at: number,
): Decided {
  const before = context.contract;
  if (contract.name !== context.id)
    return refused('bad_component_action', `the contract is that of ${contract.name}, not of ${context.id}`);
  const isKnown = sha256 === context.sha256 && isSame(contract, before);
  if (isKnown && context.status === 'published') return { reply: accepted('published') };
  if (!isKnown && before !== null && !isAbove(contract.version, before.version))
    return refused('old_contract', `version ${before.version} was published; this is ${contract.version}`);
  const isOther = sha256 !== context.sha256;
  const fresh = isOther ? { window: EMPTY_WINDOW, broken: [], reputation: firstReputation(at) } : {};
  const patch = { ...fresh, status: 'published' as const, contract, sha256, bytes };
  return {
    ...changed(context, patch, at, 'component.published'),
    ...(contract.worker !== undefined && { mail: [registration(contract)] }),
    reply: accepted('published'),
    log: { severity: 'WARN', message: { type: 'component_published', contract, sha256, bytes } },
  };
}

function registration({ name, worker }: ServiceContract) {
  const profile = { id: name, ...worker };
  return { to: `${REGISTRY_TYPE}/${REGISTRY_DEFAULT}`, event: { type: 'registry.register', profile } };
}

/** C3. */
function submit(context: ComponentContext, task: SandboxTask, from: string): Decided {
  const { contract, sha256, status, id } = context;
  if (contract === null || sha256 === null || status === 'retired')
    return refused('component_retired', `component ${id} takes no tasks any more`);
  if (!isSteering(from) && !contract.submitters.some((pattern) => coversPattern(pattern, from)))
    return forbidden(from, 'submit');
  const tenant = task.tenant ?? from;
  if (tenant !== from && !isSteering(from)) return forbidden(from, `submit for ${tenant}`);
  const limits = askedLimits(task.limits, contract.limits);
  const grant =
    task.grant ?? grantSchema.parse({ ttlMs: contract.grant.ttlMs, quotas: contract.grant.quotas });
  const beyond = [...limitsBeyond(limits, contract.limits), ...grantBeyond(grant, contract.grant)];
  if (beyond.length > 0) return refused('beyond_contract', beyond.join('; '));
  const submitted = context.submitted + 1;
  const to = `${SANDBOX_TYPE}/${id}.${submitted}`;
  const begun: SandboxBegin = {
    component: sha256,
    by: from,
    tenant,
    input: task.input,
    limits,
    grant,
    seed: task.seed,
    retries: Math.min(task.retries ?? contract.retries, contract.retries),
    reduced: !isSame(limits, contract.limits) || !isSame(grant, contract.grant), // C4.
  };
  return {
    patch: { submitted },
    mail: [{ to, event: { type: 'sandbox.begin', task: begun } }],
    reply: { ...accepted('published'), task: to } satisfies ComponentReply,
  };
}

function ran(context: ComponentContext, { ms, outcome }: Action<'ran'>, at: number): Decided {
  const { contract, id } = context;
  if (contract === null) return {};
  const window = withRun(context.window, ms, outcome);
  const slo = reportOf(window, contract.slo);
  const reputation = { value: reputationOf(slo, contract.slo), at };
  const broken = slo.broken.filter((name) => !context.broken.includes(name));
  const patch = { window, reputation, broken: slo.broken };
  const moved = reputation.value !== context.reputation.value;
  return {
    ...(broken.length > 0 || slo.broken.length < context.broken.length
      ? changed(context, patch, at, 'component.slo')
      : { patch: { ...patch, changedAt: at } }),
    ...(moved &&
      contract.worker !== undefined && {
        mail: [{ to: `worker/${id}`, event: { type: 'worker.reputation', reputation } }],
      }),
    ...(broken.length > 0 && {
      log: { severity: 'HIGH' as const, message: { type: 'slo_broken', ...slo, component: id, broken } },
    }),
  };
}

/** Of data that a schema has put in order. */
function isSame(one: object, other: object | null): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function isSteering(from: string): boolean {
  return STEERING.has(from.slice(0, Math.max(0, from.indexOf('/'))));
}

function isAbove(version: string, before: string): boolean {
  const [now, then] = [version.split('.').map(Number), before.split('.').map(Number)];
  const at = now.findIndex((part, index) => part !== then[index]);
  return at !== -1 && (now[at] ?? 0) > (then[at] ?? 0);
}

function changed(
  context: ComponentContext,
  patch: Partial<ComponentContext>,
  at: number,
  type: string,
): Decided {
  const moved = { ...patch, changedAt: at };
  return { patch: moved, tell: [{ type, component: componentView({ ...context, ...moved }) }] };
}

function accepted(status: ComponentContext['status']): ComponentReply & { readonly accepted: true } {
  return { accepted: true, status };
}

function forbidden(from: string, what: string): Decided {
  return refused('component_not_permitted', `${from} may not ${what}`);
}

function refused(code: ComponentRefusal, reason: string): Decided {
  return { reply: { accepted: false, code, reason } satisfies ComponentReply };
}
