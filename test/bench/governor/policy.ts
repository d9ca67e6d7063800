/**
 * Decisions of a policy of a hundred rules, one after the other on one core: as the doors of a node take them, with requests
 * that come again (workers that claim tasks), the same with another amount each time, and each by Cedar: the limit of the
 * others, which stand in front of it.
 */
import { compilePolicy } from '#actors/governor/policy/policy';
import { ACTIONS, type PolicyRequest, requestSchema } from '#schemas/policy';
import { quantile } from '../measure.ts';
import { rounded, row } from '../row.ts';
import type { Suite } from '../suite.ts';

const RULES = 100;
const KEPT = 'policy: decision, requests that come again';
const VARIED = 'policy: decision, amounts that never come again';
const CEDAR = 'policy: decision, each by Cedar';
const DECISIONS = 200_000;
const BY_CEDAR = 20_000;
/** Workers that differ in what rules look at: five hundred kinds of requests at each action. */
const WORKERS = 500;
const ROUNDS = 5;

export const policyDecisions: Suite = {
  benches: [KEPT, VARIED, CEDAR],
  async *run(wanted, { scale }) {
    using policy = await compilePolicy(text());
    const requests = load();
    const byCedar = measure(requests, Math.max(500, BY_CEDAR * scale), (request) => policy.evaluate(request));
    if (wanted(CEDAR)) yield row(CEDAR, { ...byCedar, rules: RULES });
    const decisions = Math.max(5_000, DECISIONS * scale);
    const beside = ({ opsPerSec }: { readonly opsPerSec: number }) => ({
      limitOpsPerSec: byCedar.opsPerSec,
      ratio: rounded(opsPerSec / byCedar.opsPerSec, 1),
      rules: RULES,
    });
    if (wanted(KEPT)) {
      const kept = measure(requests, decisions, (request) => policy.decide(request));
      yield row(KEPT, { ...kept, ...beside(kept), differentRequests: requests.length });
    }
    if (wanted(VARIED)) {
      let made = 0;
      const varied = measure(requests, decisions, (request) =>
        policy.decide({ ...request, costMicros: (request.costMicros ?? 0) + (made++ % 999_983) }),
      );
      yield row(VARIED, { ...varied, ...beside(varied) });
    }
  },
};

function measure(
  requests: readonly PolicyRequest[],
  count: number,
  decide: (request: PolicyRequest) => unknown,
) {
  for (const request of requests) decide(request);
  const each = Math.ceil(count / ROUNDS);
  const times = new Float64Array(each * ROUNDS);
  const began = performance.now();
  for (let n = 0; n < times.length; n++) {
    const request = requests[n % requests.length] as PolicyRequest;
    const start = performance.now();
    decide(request);
    times[n] = performance.now() - start;
  }
  const elapsedMs = performance.now() - began;
  times.sort();
  return {
    opsPerSec: Math.round((times.length * 1000) / elapsedMs),
    p50Ms: rounded(quantile(times, 0.5), 4),
    p99Ms: rounded(quantile(times, 0.99), 4),
  };
}

/** Rules of every sort, over all actions. */
function text(): string {
  const actions = Object.keys(ACTIONS);
  const rules = Array.from({ length: RULES }, (_, n) => ({
    id: `r${n}`,
    effect: ['allow', 'deny', 'require-approval', 'allow'][n % 4],
    actions: [actions[n % actions.length], actions[(n * 7) % actions.length]],
    who:
      n % 3 === 0 ? { ids: [`session/team-${n}-*`] } : { kinds: ['session'], capabilities: [`skill:${n}`] },
    ...(n % 5 === 0 && { cost: { above: n } }),
    ...(n % 7 === 0 && { on: { taskKinds: [`kind-${n}`] } }),
  }));
  return JSON.stringify({ policy: 1, default: 'allow', rules });
}

function load(): PolicyRequest[] {
  const actions = Object.keys(ACTIONS);
  return Array.from({ length: WORKERS }, (_, n) =>
    requestSchema.parse({
      action: actions[n % actions.length],
      who: {
        address: `session/team-${n}-${n % 9}`,
        session: `team-${n}-${n % 9}`,
        capabilities: [`skill:${n % RULES}`, `skill:${(n * 3) % RULES}`, 'docs:technical'],
        weight: 1,
      },
      on: { address: `task/t${n}`, taskKind: `kind-${n % RULES}`, requires: [`skill:${n % RULES}`] },
      costMicros: (n % 120) * 1_000_000,
    }),
  );
}
