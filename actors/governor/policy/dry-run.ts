/** What a policy would have decided about what is in the log. Pure. */
import type { Entry } from '#schemas/commit';
import type { Decision, PolicyNote, PolicyRequest } from '#schemas/policy';
import type { Policy } from './policy.ts';
import { actionOf, actionsByEvent, requestOf, type SessionFacts } from './request.ts';

/** What is known of actors now, where the log does not say what was known then. */
export interface KnownNow {
  session(id: string): SessionFacts | undefined;
  context(address: string): unknown;
}

export interface Compared {
  readonly request: PolicyRequest;
  /** What happened; `allow` by version 0 where no policy was in force. */
  readonly was: Pick<PolicyNote, 'outcome' | 'rules' | 'version'>;
  readonly would: Decision;
  readonly isOther: boolean;
  /** `entry`: decided over the very facts of then; `now`: over what is known now. */
  readonly facts: 'entry' | 'now';
}

/** Undefined for entries that are no action from outside, and for those that were counted when they began to wait. */
export function compare(policy: Policy, entry: Entry, now: KnownNow): Compared | undefined {
  const { cause, policy: note } = entry;
  if (cause.kind !== 'ask' && cause.kind !== 'inbox') return undefined;
  if (note !== undefined) return comparedWith(policy, note.request, note, 'entry');
  // What was refused for other reasons would have been.
  if (entry.op === 'dead') return undefined;
  const asked = askedOf(entry, now);
  const action = asked === undefined ? undefined : actionOf(actionsByEvent(policy.actions), asked);
  if (asked === undefined || action === undefined) return undefined;
  const { from = '' } = asked;
  const facts = from.startsWith('session/') ? now.session(from.slice('session/'.length)) : undefined;
  const request = requestOf(action, asked, facts);
  return comparedWith(policy, request, { outcome: 'allow', rules: [], version: 0 }, 'now');
}

function comparedWith(
  policy: Policy,
  request: PolicyRequest,
  { outcome, rules, version }: Compared['was'],
  facts: Compared['facts'],
): Compared {
  const would = policy.decide(request);
  return { request, was: { outcome, rules, version }, would, isOther: would.outcome !== outcome, facts };
}

function askedOf({ actor, event, cause, signed }: Entry, now: KnownNow) {
  const type = (event as { type?: unknown } | undefined)?.type;
  if (typeof type !== 'string') return undefined;
  const from = signed?.from ?? ('from' in cause ? cause.from : undefined);
  return { actor, event: event as { type: string }, from, context: now.context(actor) };
}
