/** Taxonomy, reputation, factors, filters and the index of workers: tables, and random inputs against promises. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { defaultTaxonomyFile, readTaxonomy } from '#actors/governor/registry/taxonomy-file';
import { WorkerIndex } from '#actors/governor/registry/worker-index';
import { bloomFit, byScore, evaluate, type Figures } from '#machines/registry/evaluate';
import { matchOf } from '#machines/registry/match';
import { afterResult, firstReputation, HALF_LIFE_MS, reputationAt } from '#machines/registry/reputation';
import { lexiconOf, readCapabilities } from '#machines/registry/taxonomy';
import { assignmentRulesSchema, type BreakerState, type Filter, type Need } from '#schemas/assignment';
import { taxonomySchema } from '#schemas/capability';
import { type WorkerView, workerProfileSchema } from '#schemas/worker';
import { cases } from '../rig/effort.ts';

const NOW = Date.parse('2026-01-05T00:00:00Z');
const RULES = assignmentRulesSchema.parse({});
const DAY_MS = 86_400_000;

const taxonomy = taxonomySchema.parse({
  version: 3,
  categories: {
    code: { skills: { go: { aliases: ['Golang'] }, rust: {} } },
    integration: { skills: { sip: { details: ['tls'], aliases: ['voip'] }, ndi: {} } },
  },
});

test('capabilities are read by the taxonomy: aliases, details, and the nearest one of what is unknown', (t) => {
  const read = (written: string[], isProfile = true) =>
    readCapabilities(lexiconOf(taxonomy), written, isProfile);
  t.deepEqual(read(['GOLANG', 'integration:sip:tls']).capabilities, [
    'code:go',
    'integration:sip',
    'integration:sip:tls',
  ]);
  t.deepEqual(
    read(['integration:sip:tls'], false).capabilities,
    ['integration:sip:tls'],
    'a requirement stays',
  );
  t.deepEqual(read(['integration:sip:anything']).problems, [], 'details are open');
  const wrong: readonly [string, string, string | null][] = [
    ['code:goo', 'unknown', 'code:go'],
    ['integration:spi', 'unknown', 'integration:sip'],
    ['ndi', 'malformed', 'integration:ndi'],
    ['cooking:bread', 'unknown', null],
    ['a b:c', 'malformed', null],
    ['voip', 'alias', 'integration:sip'],
  ];
  for (const [capability, kind, nearest] of wrong)
    t.deepEqual(read([capability]).problems, [{ capability, kind, nearest } as never], capability);
  t.deepEqual(readCapabilities(undefined, ['x:y', 'z'], true), {
    capabilities: ['x:y'],
    problems: [{ capability: 'z', kind: 'malformed', nearest: null }],
  });
});

test('the taxonomy of the package is right, can be extended, and says where one is wrong', (t) => {
  const base = readTaxonomy(defaultTaxonomyFile());
  t.true(Object.keys(base.categories).length >= 10);
  const folder = mkdtempSync(join(tmpdir(), 'if-taxonomy-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'mine.yaml');
  writeFileSync(
    file,
    'version: 2\nextends: default\ncategories:\n  integration:\n    skills:\n      sip: { about: ours }\n      fax: {}\n',
  );
  const mine = readTaxonomy('mine.yaml', file);
  t.is(mine.version, 2);
  t.is(mine.categories['integration']?.skills['sip']?.about, 'ours');
  t.truthy(mine.categories['integration']?.skills['webrtc']);
  t.truthy(mine.categories['integration']?.skills['fax']);
  const wrong: readonly [string, RegExp][] = [
    ['version: 1\ncategories:\n  Bad Name:\n    skills: {}\n', /^mine\.yaml:3:3: "Bad Name" cannot be a key/],
    [
      'version: 1\ncategories:\n  a:\n    skills:\n      b: { alias: [x] }\n',
      /^mine\.yaml:5:12: unknown key "alias" — did you mean "aliases"/,
    ],
    [
      'version: 1\ncategories:\n  a:\n    skills:\n      b: { aliases: [x] }\n      c: { aliases: [y, X] }\n',
      /^mine\.yaml:6:25: "X" stands for a:b already/,
    ],
    ['version: 0\ncategories: {}\n', /^mine\.yaml:1:10: "version"/],
    ['- a\n', /^mine\.yaml:1:1: holds no taxonomy/],
    ['version: [\n', /^mine\.yaml:\d+:\d+: /],
  ];
  for (const [text, message] of wrong) {
    writeFileSync(file, text);
    t.throws(() => readTaxonomy('mine.yaml', file), { code: 'bad_taxonomy', message }, text);
  }
});

test('a reputation begins at .70, bears one failure and not two, and drifts back', (t) => {
  const first = firstReputation(NOW);
  t.is(reputationAt(first, NOW), 0.7);
  const once = afterResult(first, false, NOW);
  t.true(reputationAt(once, NOW) >= RULES.reputationMin);
  const twice = afterResult(once, false, NOW);
  t.true(reputationAt(twice, NOW) < RULES.reputationMin);
  t.is(reputationAt(twice, NOW + HALF_LIFE_MS), Math.round((0.7 + (twice.value - 0.7) / 2) * 1e6) / 1e6);
  t.true(reputationAt(twice, NOW + 2 * DAY_MS) >= RULES.reputationMin, 'it gets another chance');
  t.is(reputationAt(twice, NOW - 1), twice.value, 'a clock that goes back adds nothing');
  // Eight successes in nine settle at the threshold, thirty-nine in forty far above.
  for (const [share, low, high] of [
    [9, 0.55, 0.65],
    [40, 0.8, 0.95],
    [2, 0.1, 0.25],
  ] as const) {
    let reputation = first;
    for (let n = 1; n <= 400; n += 1) reputation = afterResult(reputation, n % share !== 0, NOW);
    t.true(reputation.value > low && reputation.value < high, `${share}: ${reputation.value}`);
  }
});

test('a reputation never leaves 0 to 1, and success never lowers it', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(90 * DAY_MS))), (results) => {
      let reputation = firstReputation(NOW);
      let at = NOW;
      for (const [isSuccess, wait] of results) {
        at += wait;
        const before = reputationAt(reputation, at);
        reputation = afterResult(reputation, isSuccess, at);
        if (reputation.value < 0 || reputation.value > 1) return false;
        if (isSuccess ? reputation.value < before : reputation.value > before) return false;
      }
      return true;
    }),
  );
  t.pass();
});

const NEED: Need = { task: 't', requires: ['a:1', 'a:2', 'a:3', 'a:4'], hours: 2, contextTokens: 20_000 };
const GOOD: Figures = {
  id: 'w',
  capabilities: ['a:1', 'a:2', 'a:3'],
  reputation: 0.8,
  pricePerHourMicros: 4_000_000,
  bloom: { fromTokens: 40_000, toTokens: 80_000 },
  load: 0,
  maxConcurrent: 1,
  breaker: 'closed',
  budgetLeftMicros: 8_000_000,
};

test('a score is match × reputation × bloom fit ÷ price, and every filter says what it found and wanted', (t) => {
  const { factors, refusals } = evaluate(NEED, GOOD, RULES);
  t.deepEqual(refusals, []);
  t.deepEqual(factors, {
    match: 0.75,
    reputation: 0.8,
    bloomFit: 0.8,
    pricePerHourMicros: 4_000_000,
    estimateMicros: 8_000_000,
    score: (0.75 * 0.8 * 0.8) / 4,
    load: 0,
    maxConcurrent: 1,
    budgetLeftMicros: 8_000_000,
    breaker: 'closed',
  });
  const cases: readonly [Partial<Figures>, Filter | null, unknown, unknown][] = [
    [{ capabilities: ['a:1', 'a:2'] }, 'match', 0.5, 0.7],
    [{ reputation: 0.599_999 }, 'reputation', 0.599_999, 0.6],
    [{ reputation: 0.6 }, null, null, null],
    [{ breaker: 'open' }, 'breaker', 'open', 'closed'],
    [{ breaker: 'half-open' }, null, null, null],
    [{ breaker: 'half-open', load: 1, maxConcurrent: 2 }, 'breaker', 'half-open', 'closed'],
    [{ budgetLeftMicros: 7_999_999 }, 'budget', 7_999_999, 8_000_000],
    [{ budgetLeftMicros: null }, null, null, null],
    [{ load: 1 }, 'load', 1, 'below 1'],
  ];
  for (const [changes, filter, is, wants] of cases) {
    const verdict = evaluate(NEED, { ...GOOD, ...changes }, RULES);
    t.deepEqual(
      verdict.refusals,
      filter === null ? [] : [{ filter, is, wants } as never],
      JSON.stringify(changes),
    );
  }
  const all = evaluate(NEED, { ...GOOD, capabilities: [], reputation: 0, load: 9, breaker: 'open' }, RULES);
  t.deepEqual(
    all.refusals.map(({ filter }) => filter),
    ['match', 'reputation', 'breaker', 'load'],
  );
});

test('a match of exactly seven tenths is a candidate, an empty requirement matches all, repeats count once', (t) => {
  const ten = Array.from({ length: 10 }, (_, n) => `a:${n}`);
  const need = { ...NEED, requires: ten };
  t.deepEqual(evaluate(need, { ...GOOD, capabilities: ten.slice(0, 7) }, RULES).refusals, []);
  t.is(evaluate(need, { ...GOOD, capabilities: ten.slice(0, 6) }, RULES).refusals[0]?.filter, 'match');
  t.is(matchOf([], []), 1);
  t.is(matchOf(['a', 'a', 'b'], ['a']), 0.5);
});

test('the bloom fit is 1 at its best, falls by .2 a doubling, and ends at .4', (t) => {
  const bloom = { fromTokens: 10_000, toTokens: 40_000 };
  const cases: readonly [number | null, number][] = [
    [null, 1],
    [10_000, 1],
    [40_000, 1],
    [5_000, 0.8],
    [80_000, 0.8],
    [160_000, 0.6],
    [0, 0.4],
    [1e9, 0.4],
  ];
  for (const [tokens, fit] of cases) t.is(bloomFit(bloom, tokens), fit, String(tokens));
  t.is(bloomFit(null, 1), 1);
});

const capability = fc.constantFrom('a:1', 'a:2', 'a:3', 'b:1', 'b:2', 'c:1');
const workerArb = fc.record({
  id: fc.integer({ min: 0, max: 12 }).map((n) => `w${n}`),
  capabilities: fc.uniqueArray(capability),
  micros: fc.constantFrom(0, 1_000_000, 2_000_000, 30_000_000),
  value: fc.constantFrom(0.3, 0.6, 0.61, 0.7, 0.95),
  load: fc.integer({ min: 0, max: 2 }),
  breaker: fc.constantFrom<BreakerState>('closed', 'half-open', 'open'),
  left: fc.constantFrom(null, 0, 5_000_000),
  status: fc.constantFrom<WorkerView['status']>('registered', 'registered', 'registered', 'retired'),
  idleSince: fc.option(fc.nat(5), { nil: null }),
  changedAt: fc.nat(3),
  bloom: fc.constantFrom(undefined, { fromTokens: 1_000, toTokens: 8_000 }),
});

function viewOf(of: typeof workerArb extends fc.Arbitrary<infer T> ? T : never): WorkerView {
  const { id, capabilities, micros, value, load, breaker, left, status, idleSince, changedAt, bloom } = of;
  return {
    id,
    status,
    profile: workerProfileSchema.parse({
      id,
      capabilities,
      costPerHour: { micros },
      maxConcurrent: 2,
      ...(bloom !== undefined && { bloom }),
    }),
    taxonomyVersion: null,
    reputation: { value, at: NOW },
    completed: 0,
    failed: 0,
    tasks: Array.from({ length: load }, (_, n) => `t${n}`),
    idleSince,
    breaker,
    budgetLeftMicros: left,
    last: null,
    changedAt,
  };
}

test('the index says what asking every worker one by one says, through any changes', (t) => {
  const change = fc.oneof(
    { weight: 4, arbitrary: fc.record({ set: workerArb }) },
    { weight: 1, arbitrary: fc.record({ gone: fc.integer({ min: 0, max: 12 }).map((n) => `w${n}`) }) },
  );
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 40 }),
      fc.uniqueArray(capability, { maxLength: 4 }),
      fc.constantFrom(null, 500, 4_000),
      fc.integer({ min: 1, max: 20 }),
      fc.uniqueArray(
        fc.integer({ min: 0, max: 12 }).map((n) => `w${n}`),
        { maxLength: 3 },
      ),
      (changes, requires, contextTokens, limit, exceptions) => {
        const index = new WorkerIndex();
        const known = new Map<string, WorkerView>();
        for (const one of changes) {
          if ('gone' in one) {
            index.delete(one.gone);
            known.delete(one.gone);
            continue;
          }
          const view = viewOf(one.set);
          const before = known.get(view.id);
          const isLater = before === undefined || (before.changedAt ?? 0) <= (view.changedAt ?? 0);
          t.is(index.set(view), isLater);
          if (isLater) known.set(view.id, view);
        }
        const need: Need = { task: 't', requires, hours: 1, contextTokens };
        const except = new Set(exceptions);
        const asked = [...known.values()].filter(
          ({ id, status }) => status === 'registered' && !except.has(id),
        );
        const verdicts = asked.map((view) =>
          evaluate(
            need,
            {
              id: view.id,
              capabilities: view.profile?.capabilities ?? [],
              reputation: reputationAt(view.reputation, NOW),
              pricePerHourMicros: view.profile?.costPerHour.micros ?? 0,
              bloom: view.profile?.bloom ?? null,
              load: view.tasks.length,
              maxConcurrent: view.profile?.maxConcurrent ?? 0,
              breaker: view.breaker,
              budgetLeftMicros: view.budgetLeftMicros,
            },
            RULES,
          ),
        );
        const candidates = verdicts.filter(({ refusals }) => refusals.length === 0).sort(byScore);
        const refused: Partial<Record<Filter, number>> = {};
        for (const { refusals } of verdicts) {
          const first = refusals[0]?.filter;
          if (first !== undefined) refused[first] = (refused[first] ?? 0) + 1;
        }
        const idle = candidates
          .map((verdict) => ({ verdict, since: known.get(verdict.worker)?.idleSince ?? null }))
          .filter(({ since }) => since !== null)
          .sort((a, b) => (a.since ?? 0) - (b.since ?? 0) || (a.verdict.worker < b.verdict.worker ? -1 : 1));
        const found = index.rank(need, NOW, { limit, except });
        t.deepEqual(found.candidates, candidates.slice(0, limit));
        t.is(found.candidateCount, candidates.length);
        t.is(found.refusedCount, verdicts.length - candidates.length);
        t.deepEqual(found.refused, refused);
        t.deepEqual(found.idlest, idle[0]?.verdict ?? null);
        t.is(index.explain(need, NOW, { except }).length, verdicts.length);
      },
    ),
    { numRuns: cases(300, 80) },
  );
});
