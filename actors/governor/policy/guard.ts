/**
 * The guard of a node: decides about events from outside by the policy in force, before a machine hears them.
 *
 * Decisions are made here and not in a machine, though Cedar would give the same ones again: a machine would have to carry
 * Cedar and every policy text through each replay, and what a decision rests on (capabilities, weights) is another actor's.
 * So the decision is written into the entry of the event that it let in or kept out, and a replay reads it there.
 *
 * N1  Without a policy nothing is decided: all is as it was.
 * N2  What cannot be decided is not let in: a policy that cannot be read, facts that are not here yet, an approval that
 *     nobody could give because the realm has no approvals.
 * N3  A node may apply a policy always: whoever writes its config and its files has the realm anyway.
 * N4  Nobody buries the approvers: of one sender only so many actions are held at a time, by each node.
 * N5  A claim that is made again while it waits joins the approval that has it: the task knows which, and that hears it as
 *     a question that it was asked before.
 */
import type { TaskContext } from '#machines/task/context';
import type { GuardVerdict } from '#runtime/shard/ports';
import { APPROVAL_TYPE } from '#schemas/approval';
import { FabricError } from '#schemas/fabric-error';
import { NODE_TYPE } from '#schemas/keyring';
import {
  ACTIONS,
  type Decision,
  HELD_EVENT,
  HELD_ID_PREFIX,
  type HeldEvent,
  POLICY_ACTOR,
  type PolicyNote,
  type PolicyRequest,
  requestSchema,
} from '#schemas/policy';
import { SESSION_TYPE } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';
import { digestOf } from '../../coordinator/digest-driver.ts';
import { kindOf } from './cedar.ts';
import { policyErrors } from './errors.ts';
import type { Policy } from './policy.ts';
import { type Asked, actionOf, actionsByEvent, requestOf, type SessionFacts } from './request.ts';

/** Held events lie in the state of their approval. */
const HELD_CHARS_MAX = 32_768;
/** N4: an action counts as held until its time is up, answered or not. */
const HELD_PER_SENDER_MAX = 100;
/** Senders that are counted; the one that was first to hold something goes when there are more. */
const SENDERS_MAX = 10_000;
/** Who puts a first policy into force. */
const FIRST_APPLIERS: ReadonlySet<string> = new Set(['operator', 'person', 'governor', 'council', NODE_TYPE]);
/** Whose word about others counts: components of the realm, and who runs it. Workers ask for themselves. */
const WORKERS: ReadonlySet<string> = new Set([SESSION_TYPE, 'agent', 'tool', 'unknown', '']);

export interface InForce {
  readonly version: number;
  /** Undefined where the text that is in force cannot be read by this node. */
  readonly policy: Policy | undefined;
}

export interface GuardOptions {
  readonly inForce: () => InForce | undefined;
  /** True for the kinds of the realm. */
  readonly isKind: (type: string) => boolean;
  /** Undefined where nothing is known yet. */
  readonly sessions: () => { get(id: string): SessionFacts | undefined } | undefined;
  /** ms since the epoch. */
  readonly now?: () => number;
}

export type Arrival = Asked & { readonly place: () => string };

export class PolicyGuard {
  readonly #options: GuardOptions;
  #events: { readonly of: Policy | undefined; readonly byName: ReadonlyMap<string, string> } = {
    of: undefined,
    byName: actionsByEvent(ACTIONS),
  };

  /** By sender: when what is held of them is over, by approval. */
  readonly #heldOf = new Map<string, Map<string, number>>();

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  check(arrival: Arrival): GuardVerdict | undefined {
    const inForce = this.#options.inForce();
    const { actor, event, from = '' } = arrival;
    if (actor === POLICY_ACTOR && event.type === 'policy.authorize') return this.#authorize(arrival, inForce);
    const action = this.#actionOf(inForce?.policy, arrival);
    if (action === undefined) return undefined;
    if (inForce === undefined) {
      if (action !== 'apply-policy' || FIRST_APPLIERS.has(kindOf(from))) return undefined; // N1
      return out(denied(`${from} may not put a first policy into force`, { action, from }));
    }
    if (action === 'apply-policy' && kindOf(from) === NODE_TYPE) return undefined; // N3
    const decided = this.#decide(inForce, action, arrival);
    if (decided instanceof FabricError) return out(decided);
    const { decision, request } = decided;
    const note = noteOf(decision, request);
    if (decision.outcome === 'allow') return { go: 'on', note };
    if (decision.outcome === 'deny') return out(refusal(decision, request), note);
    return this.#wait(arrival, decision, request, note);
  }

  #actionOf(policy: Policy | undefined, arrival: Arrival): string | undefined {
    if (this.#events.of !== policy)
      this.#events = { of: policy, byName: actionsByEvent(policy?.actions ?? ACTIONS) };
    return actionOf(this.#events.byName, arrival);
  }

  #decide(
    { policy, version }: InForce,
    action: string,
    arrival: Arrival,
  ): { decision: Decision; request: PolicyRequest } | FabricError {
    const { from = '' } = arrival;
    if (policy === undefined) return unreadable(version); // N2
    const isSession = kindOf(from) === SESSION_TYPE;
    let facts: SessionFacts | undefined;
    if (policy.uses.facts && isSession) {
      const sessions = this.#options.sessions();
      if (sessions === undefined) {
        return new FabricError(
          policyErrors.policy_facts_missing,
          `The policy asks what ${from} can do, and this node is still reading that`,
          { details: { from, action } },
        );
      }
      facts = sessions.get(from.slice(SESSION_TYPE.length + 1));
    }
    const request = requestOf(action, arrival, facts);
    return { decision: policy.decide(request, version), request };
  }

  #wait(arrival: Arrival, decision: Decision, request: PolicyRequest, note: PolicyNote): GuardVerdict {
    const { actor, event, place } = arrival;
    const approval = joined(arrival, decision, request) ?? heldAt(place);
    const held = this.#held(decision, request, approval, { to: actor, event: withoutLease(event) });
    if (held instanceof FabricError) return out(held, { ...note, outcome: 'deny' });
    const reply = {
      accepted: false,
      code: 'approval_required',
      reason: `it waits for ${approval}: ${decision.reason}`,
      approval,
    };
    return { go: 'wait', note: { ...note, approval }, to: approval, event: { ...held }, reply };
  }

  #held(
    decision: Decision,
    request: PolicyRequest,
    approval: string,
    action: { readonly to?: string; readonly event?: { readonly type: string } },
  ): HeldEvent | FabricError {
    const { terms, reason } = decision;
    if (!this.#options.isKind(APPROVAL_TYPE) || terms === undefined) {
      const why = 'an approval is needed, and this realm has no kind "approval"';
      return denied(why, { action: request.action, rules: decision.rules });
    }
    if (JSON.stringify(action.event ?? null).length > HELD_CHARS_MAX) {
      const why = `an approval is needed, and an event of more than ${HELD_CHARS_MAX} characters cannot wait`;
      return denied(why, { action: request.action });
    }
    const from = request.who.address;
    if (!this.#mayHold(from, approval, terms.waitMs)) {
      const why = `${HELD_PER_SENDER_MAX} actions of ${from} wait for an approval already`;
      return new FabricError(policyErrors.too_many_held, why, { details: { action: request.action, from } });
    }
    const asked = { ...action, from, request, approval, sha256: decision.sha256 };
    const target = action.to ?? request.on?.address;
    return {
      type: HELD_EVENT,
      ...action,
      from,
      digest: digestOf(asked),
      question: `May ${from} ${request.action}${target === undefined ? '' : ` on ${target}`}? (${reason})`,
      terms,
      approvers: terms.approvers,
      note: { ...noteOf(decision, request), approval },
    };
  }

  /** N4. The same place again is the same action, stepped anew or joined. */
  #mayHold(from: string, approval: string, waitMs: number): boolean {
    const now = (this.#options.now ?? Date.now)();
    const held = this.#heldOf.get(from) ?? new Map<string, number>();
    for (const [known, until] of held) if (until <= now) held.delete(known);
    if (held.has(approval)) return true;
    if (held.size >= HELD_PER_SENDER_MAX) return false;
    held.set(approval, now + waitMs);
    if (!this.#heldOf.has(from) && this.#heldOf.size >= SENDERS_MAX) {
      const [first = ''] = this.#heldOf.keys();
      this.#heldOf.delete(first);
    }
    this.#heldOf.set(from, held);
    return true;
  }

  /** A question of its own: the decision goes into the event, and so into the log. */
  #authorize(arrival: Arrival, inForce: InForce | undefined): GuardVerdict {
    const { event, from = '', place } = arrival;
    const parsed = requestSchema.safeParse(event['request']);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const where = ['request', ...(issue?.path ?? [])].map(String).join('.');
      return out(new FabricError(policyErrors.bad_request, `${where}: ${issue?.message ?? 'invalid'}`));
    }
    const request = parsed.data;
    if (WORKERS.has(kindOf(from)) && request.who.address !== from)
      return out(denied(`${from} asks for ${request.who.address}`, { action: request.action, from }));
    // What else came along is nobody's business, and may be of any size.
    const plain = { type: event.type };
    if (inForce === undefined) {
      const decision = {
        outcome: 'allow',
        rules: [],
        reason: 'no policy is in force',
        version: 0,
        sha256: '',
      };
      return { go: 'on', event: { ...plain, request, decision } };
    }
    if (inForce.policy === undefined) return out(unreadable(inForce.version));
    const decision = inForce.policy.decide(request, inForce.version);
    const note = noteOf(decision, request);
    if (decision.outcome !== 'approval') return { go: 'on', note, event: { ...plain, request, decision } };
    const approval = heldAt(place);
    const held = this.#held(decision, request, approval, {});
    if (held instanceof FabricError) return out(held, { ...note, outcome: 'deny' });
    return {
      go: 'on',
      note: { ...note, approval },
      event: { ...plain, request, decision, held: { approval, event: held } },
    };
  }
}

/** The approval of what came in there. */
function heldAt(place: () => string): string {
  return `${APPROVAL_TYPE}/${HELD_ID_PREFIX}${place()}`;
}

/** N5. Under another policy it is another question. */
function joined(
  { actor, context }: Arrival,
  { sha256 }: Decision,
  { action, who }: PolicyRequest,
): string | undefined {
  if (action !== 'claim' || kindOf(actor) !== TASK_TYPE) return undefined;
  const { held = [] } = (context ?? {}) as Partial<Pick<TaskContext, 'held'>>;
  return held.find(({ worker, policy }) => worker === who.address && policy === sha256)?.approval;
}

/** A lease that was taken for now has ended when somebody answers: what goes on then is held without one. */
function withoutLease(event: Arrival['event']): Arrival['event'] {
  const { lease: _, leaseMs: __, revision: ___, ...rest } = event;
  return rest;
}

function noteOf({ outcome, version, sha256, rules }: Decision, request: PolicyRequest): PolicyNote {
  return { outcome, version, sha256, rules, request };
}

function out(error: FabricError, note?: PolicyNote): GuardVerdict {
  return { go: 'out', error: error.toWire(), ...(note !== undefined && { note }) };
}

function refusal({ reason, rules, version }: Decision, { action, who }: PolicyRequest): FabricError {
  return denied(`${who.address} may not ${action}: ${reason}`, { action, from: who.address, rules, version });
}

function denied(message: string, details: Readonly<Record<string, unknown>>): FabricError {
  return new FabricError(policyErrors.policy_denied, message, { details });
}

function unreadable(version: number): FabricError {
  const message = `This node cannot read version ${version} of the policy, and so lets nothing in that it might speak of`;
  return new FabricError(policyErrors.policy_unreadable, message, { details: { version } });
}
