/** Deciding: what wins, what is denied by default, what is wrong with a policy and where. */
import test from 'ava';
import fc from 'fast-check';
import { runCases } from '#actors/governor/policy/cases';
import { compilePolicy } from '#actors/governor/policy/policy';
import { FabricError } from '#schemas/fabric-error';
import {
  ACTIONS,
  type Decision,
  matchesPattern,
  type PolicyRequestInput,
  requestSchema,
} from '#schemas/policy';
import { cases } from '../rig/effort.ts';

type Question = Partial<Omit<PolicyRequestInput, 'who' | 'on'>> & {
  readonly who?: Partial<PolicyRequestInput['who']>;
  readonly on?: Partial<NonNullable<PolicyRequestInput['on']>>;
};

function ask({ who, on, ...rest }: Question = {}) {
  return requestSchema.parse({
    action: 'claim',
    ...rest,
    who: { address: 'session/ndi', ...who },
    on: { address: 'task/a', ...on },
  });
}

const TEXT = `
policy: 1
default: allow
relationships:
  - { from: governor/main, to: session/ndi, tag: oversight }
  - { from: session/helper, to: task/a, tag: outside }
rules:
  - { id: people, effect: allow, actions: [apply-policy, override, spawn], who: { kinds: [operator] } }
  - { id: dear, effect: require-approval, actions: [claim], cost: { above: 50 }, approval: { wait: 5m, approvers: [operator/ann] } }
  - { id: poor, effect: deny, actions: any, who: { weight: { below: 0.2 } }, because: its results were poor }
  - { id: docs-only, effect: deny, actions: [claim], who: { ids: [session/docs-*] }, on: { taskKinds: [code] } }
  - { id: skilled, effect: allow, actions: [sandbox-run, publish], who: { capabilities: ['code:ts', 'ops:k8s'] } }
  - { id: overseers, effect: allow, actions: [reset], who: { trust: { min: 0.9 } } }
  - { id: friends, effect: deny, actions: [transfer], who: { tags: [outside] } }
  - { id: crew, effect: allow, actions: [publish], who: { swarms: [blue] } }
  - { id: dangerous, effect: deny, actions: [sip-call], hazard: { severities: [low] } }
  - { id: calls, effect: allow, actions: [sip-call] }
  - { id: own, effect: allow, actions: [disband, reset], who: { sessions: [n*i] }, on: { ids: ['swarm/*-x', breaker/b] } }
`;

const TABLE: readonly (readonly [string, Question, Decision['outcome'], string])[] = [
  ['what nobody speaks of, by default', {}, 'allow', 'default'],
  ['a privileged action that nobody speaks of', { action: 'override-budget' }, 'deny', 'default'],
  ['a privileged action of the wrong kind of actor', { action: 'override' }, 'deny', 'default'],
  ['a privileged action', { action: 'override', who: { address: 'operator/ann' } }, 'allow', 'people'],
  ['just at the bound', { costMicros: 50_000_000 }, 'allow', 'default'],
  ['a millionth above', { costMicros: 50_000_001 }, 'approval', 'dear'],
  ['deny before approval', { costMicros: 50_000_001, who: { weight: 0.19 } }, 'deny', 'poor'],
  ['a weight at the bound', { who: { weight: 0.2 } }, 'allow', 'default'],
  ['an unknown weight is not below', { who: {} }, 'allow', 'default'],
  ['a pattern', { who: { address: 'session/docs-1' }, on: { taskKind: 'code' } }, 'deny', 'docs-only'],
  [
    'a pattern, another kind',
    { who: { address: 'session/docs-1' }, on: { taskKind: 'docs' } },
    'allow',
    'default',
  ],
  [
    'all capabilities',
    { action: 'publish', who: { capabilities: ['ops:k8s', 'x', 'code:ts'] } },
    'allow',
    'skilled',
  ],
  ['one capability of two', { action: 'publish', who: { capabilities: ['ops:k8s'] } }, 'deny', 'default'],
  [
    'a relationship of the file',
    { action: 'reset', who: { address: 'governor/main' }, on: { worker: 'session/ndi' } },
    'allow',
    'overseers',
  ],
  ['a relationship to another', { action: 'reset', who: { address: 'governor/main' } }, 'deny', 'default'],
  ['a tag of the request', { action: 'transfer', who: { tags: ['outside'] } }, 'deny', 'friends'],
  ['a tag of the file', { action: 'transfer', who: { address: 'session/helper' } }, 'deny', 'friends'],
  ['a swarm', { action: 'publish', who: { swarm: 'blue' } }, 'allow', 'crew'],
  ['no hazard', { action: 'sip-call' }, 'allow', 'calls'],
  ['a hazard', { action: 'sip-call', hazard: { type: 'safety', severity: 'low' } }, 'deny', 'dangerous'],
  [
    'sessions and resources',
    { action: 'reset', who: { session: 'ndi' }, on: { address: 'breaker/b' } },
    'allow',
    'own',
  ],
  ['an action that nobody knows', { action: 'fly' }, 'deny', 'default'],
];

test('each part of a rule decides as it reads', async (t) => {
  using policy = await compilePolicy(TEXT);
  for (const [name, question, outcome, rule] of TABLE) {
    const decision = policy.evaluate(ask(question));
    t.is(decision.outcome, outcome, name);
    t.true(decision.rules.includes(rule), `${name}: ${decision.rules.join()}`);
    t.deepEqual(policy.decide(ask(question)), decision, name);
    t.deepEqual(policy.decide(ask(question)), decision, `${name}, from the cache`);
  }
  const { reason } = policy.decide(ask({ who: { weight: 0.1 } }));
  t.is(reason, 'poor: its results were poor');
  const { terms } = policy.decide(ask({ costMicros: 60_000_000 }));
  t.deepEqual(terms, { waitMs: 300_000, default: 'no', approvers: ['operator/ann'] });
});

test('without `default: allow` what no rule speaks of is denied', async (t) => {
  using policy = await compilePolicy('policy: 1\nrules: [{ id: a, effect: allow, actions: [retry] }]');
  for (const action of Object.keys(ACTIONS))
    t.is(policy.decide(ask({ action })).outcome, action === 'retry' ? 'allow' : 'deny', action);
});

const HOSTILE = [
  '"; forbid(principal, action, resource); //',
  '") || true || ("',
  "' or 1=1 --",
  '\\"',
  '\\',
  '\u0000',
  `\${env:HOME}`,
  '__proto__',
  'constructor',
  '*'.repeat(50),
  '\u202E\u2066permit',
  'session/ndi*"]}',
  '🦆\u{1F600}',
];

test('no text of a policy or a request becomes a rule', async (t) => {
  for (const text of HOSTILE) {
    const quoted = JSON.stringify(text);
    const literal = text.replaceAll('*', 'x');
    using policy = await compilePolicy(
      `
policy: 1
rules:
  - { id: only, effect: allow, actions: [claim], who: { ids: [${JSON.stringify(literal)}], kinds: [''] } }
`.replace("kinds: ['']", `capabilities: [${quoted}]`),
    );
    const exact = ask({ who: { address: literal, capabilities: [text] } });
    t.is(policy.decide(exact).outcome, 'allow', quoted);
    t.is(policy.decide(ask({ who: { address: literal } })).outcome, 'deny', quoted);
    t.is(policy.decide(ask({ who: { capabilities: [text] } })).outcome, 'deny', quoted);
    const everywhere = ask({
      who: { address: text, session: text, swarm: text, capabilities: [text] },
      on: { address: text, taskKind: text, requires: [text] },
      hazard: { type: text.slice(0, 100), severity: 'high' },
    });
    t.is(policy.decide({ ...everywhere, who: { ...everywhere.who, address: `${text}!` } }).outcome, 'deny');
  }
});

const address = fc.constantFrom('session/a', 'session/b', 'operator/o', 'agent/x');
const effect = fc.constantFrom('allow' as const, 'deny' as const, 'require-approval' as const);
const rule = fc.record(
  {
    effect,
    actions: fc.oneof(
      fc.constant('any' as const),
      fc.uniqueArray(fc.constantFrom('claim', 'override', 'spawn', 'transfer'), { minLength: 1 }),
    ),
    who: fc.record(
      {
        ids: fc.uniqueArray(address, { minLength: 1 }),
        weight: fc.record({ below: fc.constantFrom(0.3, 1) }),
      },
      { requiredKeys: [] },
    ),
    cost: fc.record({ above: fc.constantFrom(0, 1, 5) }),
  },
  { requiredKeys: ['effect', 'actions'] },
);
const question = fc.record({
  action: fc.constantFrom('claim', 'override', 'spawn', 'transfer'),
  who: fc.record({ address, weight: fc.constantFrom(0.1, 0.5, 2) }),
  costMicros: fc.constantFrom(0, 1_000_000, 6_000_000),
});

test('deny wins, privileged actions need a rule, and the same request gets the same decision', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(rule, { maxLength: 6 }),
      fc.constantFrom('allow', 'deny'),
      fc.array(question, { minLength: 1, maxLength: 8 }),
      async (rules, fallback, questions) => {
        const named = rules.map((one, n) => ({ id: `r${n}`, ...one }));
        using policy = await compilePolicy(JSON.stringify({ policy: 1, default: fallback, rules: named }));
        for (const one of [...questions, ...questions]) {
          const request = requestSchema.parse(one);
          const matching = named.filter(
            ({ actions, who = {}, cost }) =>
              (actions === 'any' || actions.includes(one.action)) &&
              (who.ids === undefined || who.ids.includes(one.who.address)) &&
              (who.weight === undefined || one.who.weight < who.weight.below) &&
              (cost === undefined || one.costMicros > cost.above * 1e6),
          );
          const by = (wanted: string) =>
            matching.filter((match) => match.effect === wanted).map(({ id }) => id);
          const isPrivileged = ACTIONS[one.action]?.privileged === true;
          const [denied, waiting, allowed] = [by('deny'), by('require-approval'), by('allow')];
          const expected =
            denied.length > 0
              ? ['deny', denied]
              : waiting.length > 0
                ? ['approval', waiting]
                : allowed.length > 0
                  ? ['allow', allowed]
                  : [fallback === 'allow' && !isPrivileged ? 'allow' : 'deny', ['default']];
          const { outcome, rules: decidedBy } = policy.decide(request);
          t.deepEqual([outcome, decidedBy], expected);
          t.deepEqual(policy.evaluate(request), policy.decide(request));
        }
      },
    ),
    { numRuns: cases(60, 20) },
  );
});

test('a rule that fails while it is evaluated denies', async (t) => {
  using policy = await compilePolicy(`
policy: 1
default: allow
rules:
  - { id: sum, effect: deny, actions: [claim], when: context has costMicros && context.costMicros * 9000000000 > 5 }
`);
  t.is(policy.decide(ask({ costMicros: 0 })).outcome, 'allow');
  const { outcome, rules, reason } = policy.decide(ask({ costMicros: 9_000_000_000_000_000 }));
  t.is(outcome, 'deny');
  t.deepEqual(rules, ['sum']);
  t.regex(reason, /could not be evaluated/);
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  [
    'policy: 1\nrules:\n  - { id: a, effect: allow, actions: [clam] }',
    /p:3:39: there is no action "clam" — did you mean "claim"\?/,
  ],
  [
    'policy: 1\nrules:\n  - { id: a, effect: alow, actions: [claim] }',
    /p:3:22: "rules\[0\]\.effect": expected .* — did you mean "allow"\?/,
  ],
  [
    'policy: 1\nrules:\n  - { id: a, effect: deny, actions: any, whom: {} }',
    /p:3:42: unknown key "whom" — did you mean "who"\?/,
  ],
  [
    'policy: 1\nrules:\n  - { id: a, effect: deny, actions: any }\n  - id: a\n    effect: deny\n    actions: any',
    /p:4:9: "a" is the id of rule 1 already/,
  ],
  [
    'policy: 1\nrules:\n  - id: a\n    effect: deny\n    actions: any\n    when: context.cost > 5',
    /p:6:11: rule "a": .*attribute `cost` in context not found$/,
  ],
  [
    'policy: 1\nrules:\n  - id: a\n    effect: deny\n    actions: any\n    when: context.costMicros > 5',
    /p:6:11: rule "a": .*optional attribute.*context has costMicros/,
  ],
  [
    'policy: 1\nrules:\n  - id: a\n    effect: deny\n    actions: any\n    when: context has',
    /p:6:11: "when" is no condition in Cedar/,
  ],
  [
    'policy: 1\nrules:\n  - id: a\n    effect: deny\n    actions: any\n    when: "true }; permit(principal, action, resource) when { true"',
    /p:6:11: "when" is/,
  ],
  [
    'policy: 1\nrules:\n  - id: a\n    effect: deny\n    actions: any\n    when: "true } unless { false"',
    /p:6:11: "when" is one condition/,
  ],
  [
    "policy: 1\nrules:\n  - id: a\n    effect: deny\n    actions: any\n    when: 'context.who.kind == 5'",
    /p:6:11: rule "a": /,
  ],
  ['policy: 1\nactions: { claim: {} }\nrules: []', /p:2:12: "claim" is an action of the fabric already/],
  ['policy: 2\nrules: []', /p:1:9/],
  ['- a', /p:1:1: a policy is a map/],
  ['policy: 1\nrules: [', /p:2:9/],
];

test('what is wrong is told with its place, also what Cedar finds', async (t) => {
  for (const [text, expected] of WRONG) {
    const error = await t.throwsAsync(compilePolicy(text, { name: 'p' }), { instanceOf: FabricError }, text);
    t.is(error?.code, 'bad_policy');
    t.regex(error?.message ?? '', expected);
  }
  const long = await t.throwsAsync(compilePolicy(`# ${'x'.repeat(70_000)}\npolicy: 1\nrules: []`));
  t.regex(long?.message ?? '', /at most 65536 characters/);
});

test('rules that mean nothing are found', async (t) => {
  using policy = await compilePolicy(
    `
policy: 1
rules:
  - { id: none, effect: deny, actions: [claim, retry], who: { ids: ['session/*'] } }
  - { id: one, effect: allow, actions: [claim], who: { ids: [session/a] } }
  - { id: people, effect: require-approval, actions: [spawn] }
  - { id: also, effect: allow, actions: [spawn], who: { kinds: [operator] } }
  - { id: twin, effect: require-approval, actions: [spawn] }
  - { id: never, effect: deny, actions: [cancel], cost: { above: 5, upTo: 5 } }
  - { id: odd, effect: deny, actions: [cancel], who: { kinds: [session], ids: ['operator/*'] } }
  - { id: fine, effect: allow, actions: [claim], who: { ids: ['*'] } }
  - { id: constant, effect: deny, actions: [retry], when: 'context.who.kind != context.who.kind && false' }
`,
    { name: 'p' },
  );
  const found = policy.findings.map(({ kind, rule: id, place }) => `${place.line} ${id} ${kind}`);
  t.deepEqual(found, [
    '5 one unreachable',
    '7 also unreachable',
    '8 twin redundant',
    '9 never impossible',
    '10 odd impossible',
    '1 default locks-out',
    '12 constant cedar',
  ]);
});

test('cases pass and fail by outcome and by rule', async (t) => {
  using policy = await compilePolicy(TEXT);
  const results = runCases(
    policy,
    `
cases:
  - { name: yes, request: { action: claim, who: { address: session/a } }, expect: allow }
  - { name: other rule, request: { action: claim, who: { address: session/a } }, expect: allow, rule: crew }
  - { name: no, request: { action: reset, who: { address: session/a } }, expect: allow }
`,
    'c',
  );
  t.deepEqual(
    results.map(({ name, passed, line }) => [name, passed, line]),
    [
      ['yes', true, 3],
      ['other rule', false, 4],
      ['no', false, 5],
    ],
  );
  const error = t.throws(() => runCases(policy, 'cases: [{ name: a, expect: maybe }]', 'c'), {
    instanceOf: FabricError,
  });
  t.regex(error?.message ?? '', /c:1:/);
});

test('a cache that is full forgets the oldest and decides the same', async (t) => {
  using policy = await compilePolicy(TEXT, { cacheMax: 2 });
  for (const round of [1, 2, 3]) {
    for (const [name, request, outcome] of TABLE) {
      t.is(policy.decide(ask(request)).outcome, outcome, `${name}, round ${round}`);
    }
  }
});

test('patterns match what their stars stand for', (t) => {
  const yes = [
    ['session/a', '*'],
    ['session/a', 'session/*'],
    ['session/a', '*a'],
    ['session/abc', 's*/a*c'],
    ['session/a', 'session/a'],
    ['aa', 'a*a'],
  ] as const;
  const no = [
    ['session/a', 'session/b'],
    ['a', 'a*a'],
    ['session/ab', '*/b*'],
    ['', 'a*'],
  ] as const;
  for (const [text, wanted] of yes) t.true(matchesPattern(text, wanted), `${text} ${wanted}`);
  for (const [text, wanted] of no) t.false(matchesPattern(text, wanted), `${text} ${wanted}`);
});

const BOUNDS = [0, 0.000001, 1, 1.0000005, 50];
const COSTS = [
  undefined,
  ...BOUNDS.flatMap((bound) => [-1, 0, 1].map((more) => Math.round(bound * 1e6) + more)),
];

test('requests that are one to the cache are one to Cedar, whatever their costs and whichever rules speak of them', async (t) => {
  const bound = fc.constantFrom(...BOUNDS);
  const rule = fc.record(
    {
      effect: fc.constantFrom('allow', 'deny', 'require-approval'),
      actions: fc.subarray(['claim', 'reserve', 'reset'], { minLength: 1 }),
      who: fc.constantFrom({ ids: ['session/a'] }, { kinds: ['session'] }, { weight: { below: 0.5 } }),
      cost: fc.oneof(fc.record({ above: bound }), fc.record({ upTo: bound })),
      when: fc.constantFrom(
        'context has costMicros && context.costMicros == 1000001',
        'context.who.address like "*b"',
      ),
    },
    { requiredKeys: ['effect', 'actions'] },
  );
  const question = fc.record({
    action: fc.constantFrom('claim', 'reserve', 'reset'),
    who: fc.record({
      address: fc.constantFrom('session/a', 'session/b', 'operator/a'),
      weight: fc.constantFrom(0.1, 1),
    }),
    costMicros: fc.constantFrom(...COSTS.filter((cost) => cost === undefined || cost >= 0)),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(rule, { maxLength: 6 }),
      fc.array(question, { minLength: 30, maxLength: 60 }),
      async (rules, questions) => {
        const named = rules.map((one, n) => ({ id: `r${n}`, ...one }));
        using policy = await compilePolicy(JSON.stringify({ policy: 1, default: 'allow', rules: named }));
        for (const one of questions) {
          const request = requestSchema.parse(one);
          t.deepEqual(policy.decide(request), policy.evaluate(request), JSON.stringify(request));
        }
      },
    ),
    { numRuns: cases(60, 20) },
  );
});

test('amounts that go beyond the same bounds are decided once', async (t) => {
  using policy = await compilePolicy(TEXT);
  const at = (action: string, costMicros: number) => policy.decide(ask({ action, costMicros })).rules;
  t.is(at('claim', 51_000_000), at('claim', 52_345_678), 'the same answer, kept');
  t.not(at('claim', 51_000_000), at('claim', 49_000_000));
  t.is(at('retry', 51_000_000), at('retry', 49_000_000), 'no rule about it looks at costs');
});
