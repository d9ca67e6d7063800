/**
 * The policy in force: which text, who applied it, and why. Every version that was ever applied is an entry of the log,
 * with its text.
 *
 * V1  A version takes the place of the one that its author knew: `base` is compared, so no two overwrite each other.
 * V2  The driver compiles it and writes it for all nodes; until it has, and where it cannot, the one before stays.
 * V3  Numbers only grow, also over versions that were refused: nodes take the higher one.
 * V4  What was decided is in the event of a request, put there by the node that decided: a replay reads it, and decides
 *     nothing anew.
 */
import { errorKinds, FabricError } from '#schemas/fabric-error';
import {
  HELD_EVENT,
  type HeldEvent,
  installedSchema,
  POLICY_DRIVER,
  POLICY_STATUSES,
  type PolicyVersion,
  type PolicyView,
  policyActionSchema,
} from '#schemas/policy';
import { decidedMachine, type Heard, type Outcome } from './decided.ts';

export const policyMachineErrors = errorKinds({
  policy_moved: {
    retryable: false,
    help: 'Another version came first: look at it with `infrafabric policy show`, and apply yours over it.',
  },
  policy_undecided: {
    retryable: false,
    help: 'The node decides before the actor hears of it: ask over the bus, with the driver `policy` in the realm.',
  },
});

const INSTALL = 'install';

export const policy = {
  name: 'policy',
  version: 1,
  machine: decidedMachine<PolicyView>({
    id: 'policy',
    version: '1',
    statuses: POLICY_STATUSES,
    hears: ['policy.*', `xstate.done.actor.${INSTALL}`, `xstate.error.actor.${INSTALL}`],
    drivers: [POLICY_DRIVER],
    context: () => ({ status: 'absent', version: 0, active: null, next: null, refused: null }),
    decide,
  }),
};

function decide(context: PolicyView, { event, from = '', at }: Heard): Outcome<PolicyView> {
  if (event.type === `xstate.done.actor.${INSTALL}`) return installed(context, event['output']);
  if (event.type === `xstate.error.actor.${INSTALL}`) return notInstalled(context, event['error']);
  const parsed = policyActionSchema.safeParse(event);
  if (!parsed.success)
    return { reply: { accepted: false, code: 'bad_action', reason: 'this is not an action of a policy' } };
  const action = parsed.data;
  switch (action.type) {
    case 'policy.get':
      return { reply: context };
    case 'policy.apply': {
      const current = context.active?.version ?? 0;
      if (context.next !== null || action.base !== current) {
        const now = context.next === null ? `version ${current} is in force` : 'another one is being applied';
        throw new FabricError(
          policyMachineErrors.policy_moved,
          `The policy was made for version ${action.base}: ${now}`,
        );
      }
      const { text, reason, source = null } = action;
      const version = context.version + 1; // V3.
      const next: PolicyVersion = { version, text, sha256: null, by: from, at, reason, source };
      return {
        patch: { status: 'applying', version, next },
        effects: [{ id: INSTALL, driver: POLICY_DRIVER, input: { version, text, source } }],
        reply: { accepted: true, version },
      };
    }
    case 'policy.authorize': {
      // V4.
      if (action.decision === undefined)
        throw new FabricError(policyMachineErrors.policy_undecided, 'No node decided about this request');
      const held = action.held as { approval: string; event: HeldEvent } | undefined;
      const reply = { decision: action.decision, ...(held !== undefined && { approval: held.approval }) };
      if (held === undefined) return { reply };
      return { reply, mail: [{ to: held.approval, event: { ...held.event, type: HELD_EVENT } }] };
    }
  }
}

function installed(context: PolicyView, output: unknown): Outcome<PolicyView> {
  const { next } = context;
  const { version, sha256 } = installedSchema.parse(output);
  if (next === null || next.version !== version) return {};
  const active = { ...next, sha256 };
  const { text: _, ...told } = active;
  return {
    patch: { status: 'active', active, next: null, refused: null },
    tell: [{ type: 'policy.applied', ...told }],
    log: { severity: 'WARN', message: { type: 'policy_applied', ...told } },
  };
}

/** V2. */
function notInstalled(context: PolicyView, error: unknown): Outcome<PolicyView> {
  const { next, active } = context;
  if (next === null) return {};
  const { message = 'unknown' } = (error ?? {}) as { message?: string };
  const refused = { version: next.version, by: next.by, error: message.slice(0, 4_000).toWellFormed() };
  return {
    patch: { status: active === null ? 'absent' : 'active', next: null, refused },
    tell: [{ type: 'policy.refused', ...refused }],
    log: { severity: 'HIGH', message: { type: 'policy_refused', ...refused } },
  };
}
