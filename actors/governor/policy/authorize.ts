/**
 * Decisions for components that no event stands for: bridges before they call, the chassis before it runs, the metering
 * proxy. The decision is an entry of the log; where it is to wait for an approval, so does this.
 */
import type { Client } from '#runtime/client/client';
import { APPROVAL_TYPE, type ApprovalReply, type ApprovalView } from '#schemas/approval';
import { FabricError } from '#schemas/fabric-error';
import { type Decision, POLICY_ACTOR, type PolicyRequestInput } from '#schemas/policy';
import { policyErrors } from './errors.ts';

/** A verdict is looked for at least so often: live events are not stored. */
const LOOK_MS = 5_000;

export interface Authorized {
  readonly decision: Decision;
  /** The approval that it went on by. */
  readonly approval?: ApprovalView;
}

/**
 * Resolves once it may go on. Throws `policy_denied`, also where an approval ended with a no; aborted, it throws the
 * reason, and the approval goes on waiting.
 */
export async function authorize(
  client: Client,
  request: PolicyRequestInput,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Authorized> {
  const { reply } = await client.ask(POLICY_ACTOR, { type: 'policy.authorize', request }, options);
  const { decision, approval: address } = reply as { decision: Decision; approval?: string };
  if (decision.outcome === 'allow') return { decision };
  const { action, who } = request;
  const details = { action, from: who.address, rules: decision.rules, version: decision.version };
  if (address === undefined || !address.startsWith(`${APPROVAL_TYPE}/`)) {
    throw new FabricError(
      policyErrors.policy_denied,
      `${who.address} may not ${action}: ${decision.reason}`,
      {
        details,
      },
    );
  }
  const approval = await verdictOf(client, address, options.signal);
  // Only a question that the guard put is about this request.
  const isOurs = approval.held?.from === who.address;
  if (isOurs && approval.verdict === 'yes') return { decision, approval };
  const by = approval.answeredBy ?? 'nobody, in time';
  throw new FabricError(
    policyErrors.policy_denied,
    `${who.address} may not ${action}: ${address} ended with no, by ${by}`,
    { details: { ...details, approval: address } },
  );
}

async function verdictOf(client: Client, address: string, signal?: AbortSignal): Promise<ApprovalView> {
  const over = new AbortController();
  const stop = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal]);
  const verdicts = client.watch(address, { signal: stop });
  // Listening begins with the first of them: before it is asked for, so that none in between is missed.
  let heard = verdicts.next();
  try {
    for (;;) {
      signal?.throwIfAborted();
      const view = await approvalAt(client, address, stop);
      if (view !== undefined && view.status !== 'pending') return view;
      const isHeard = heard.then(() => true);
      if (await Promise.race([isHeard, elapsed(LOOK_MS, stop)])) heard = verdicts.next();
    }
  } finally {
    over.abort();
  }
}

/** Undefined while the mail that makes it is on its way. */
async function approvalAt(
  client: Client,
  address: string,
  signal: AbortSignal,
): Promise<ApprovalView | undefined> {
  try {
    const reply = (await client.ask(address, { type: 'approval.get' }, { signal })).reply as ApprovalReply;
    return reply.accepted ? reply.approval : undefined;
  } catch (thrown) {
    if (thrown instanceof FabricError && thrown.code === 'unknown_approval') return undefined;
    throw thrown;
  }
}

function elapsed(ms: number, signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve(false);
      },
      { once: true },
    );
  });
}
