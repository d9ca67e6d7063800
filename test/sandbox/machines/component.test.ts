/** What a component takes, refuses and is judged by: its promises over a window, and a realm in memory. */
import test from 'ava';
import fc from 'fast-check';
import { component } from '#machines/component';
import { reputationOf, WARM_RUNS } from '#machines/component/reputation';
import { EMPTY_WINDOW, type RunWindow, reportOf, withRun } from '#machines/component/window';
import { grantBeyond } from '#machines/component/within';
import { registry } from '#machines/registry';
import { REPUTATION_START } from '#machines/registry/reputation';
import { sandbox } from '#machines/sandbox';
import { worker } from '#machines/worker';
import { testRealm } from '#runtime/testing/testing';
import { grantSchema } from '#schemas/grant';
import { RUN_OUTCOMES, type RunOutcome } from '#schemas/sandbox';
import { type ComponentView, sloSchema, WINDOW_RUNS } from '#schemas/service-contract';
import type { WorkerView } from '#schemas/worker';

const SLO = sloSchema.parse({ p99Ms: 100, successRate: 0.9, availability: 0.9 });
const SHA = 'a'.repeat(64);

function windowOf(runs: readonly (readonly [ms: number, outcome: RunOutcome])[]): RunWindow {
  return runs.reduce((window, [ms, outcome]) => withRun(window, ms, outcome), EMPTY_WINDOW);
}

test('promises are judged over the last thousand runs, each by the runs that it is about', (t) => {
  const many = (count: number, ms: number, outcome: RunOutcome) =>
    Array.from({ length: count }, () => [ms, outcome] as const);
  const old = many(500, 9_999, 'bad');
  const runs = [...old, ...many(900, 10, 'good'), ...many(80, 20, 'bad'), ...many(20, 5_000, 'none')];
  const report = reportOf(windowOf(runs), SLO);
  t.is(report.runs, WINDOW_RUNS);
  t.deepEqual([report.successRate, report.availability, report.p99Ms], [900 / 980, 0.98, 20]);
  t.deepEqual(report.broken, []);
  const worse = reportOf(
    windowOf([...many(80, 10, 'good'), ...many(10, 500, 'good'), ...many(10, 1, 'none')]),
    SLO,
  );
  t.deepEqual([worse.p99Ms, worse.availability, worse.broken], [500, 0.9, ['p99Ms']]);
  t.deepEqual(reportOf(EMPTY_WINDOW, SLO), {
    runs: 0,
    p99Ms: null,
    successRate: null,
    availability: null,
    broken: [],
  });
});

test('reputation is what the formula says once there are enough runs, and never leaves 0 to 1', (t) => {
  const report = { runs: 1_000, p99Ms: 150, successRate: 0.8, availability: 0.85, broken: [] };
  // (1 − min(2·.1, .3) − min(.2·.5, .2) − min(2·.05, .3)) × .8
  t.is(reputationOf(report, SLO), 0.48);
  t.is(reputationOf({ ...report, p99Ms: 50, successRate: 1, availability: 1 }, SLO), 1);
  t.is(reputationOf(reportOf(EMPTY_WINDOW, SLO), SLO), REPUTATION_START);
  const oneGood = reputationOf(reportOf(windowOf([[1, 'good']]), SLO), SLO);
  t.true(Math.abs(oneGood - (REPUTATION_START + (1 - REPUTATION_START) / WARM_RUNS)) < 1e-9);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.constantFrom(...RUN_OUTCOMES)), {
        maxLength: 60,
      }),
      (drawn) => {
        const value = reputationOf(reportOf(windowOf(drawn), SLO), SLO);
        return value >= 0 && value <= 1;
      },
    ),
  );
});

test('no grant goes beyond that of the contract', (t) => {
  const allowed = grantSchema.parse({
    emit: ['progress.*'],
    kv: [{ prefix: 'cache/', write: true }, { prefix: 'shared/' }],
    ask: [{ to: 'counter/*', events: ['get', 'inc'] }],
    http: [
      { origin: 'https://a.example', path: '/v1', methods: ['GET'], headers: { authorization: 'Bearer $' } },
    ],
  });
  const beyond = (grant: object) => grantBeyond(grantSchema.parse(grant), allowed);
  t.deepEqual(beyond({}), []);
  t.deepEqual(beyond(allowed), []);
  t.deepEqual(
    beyond({
      emit: ['progress.half'],
      kv: [{ prefix: 'cache/mine/', write: true }],
      ask: [{ to: 'counter/k1', events: ['get'] }],
      http: [{ origin: 'https://a.example', path: '/v1/x', methods: ['GET'] }],
    }),
    [],
  );
  for (const more of [
    { emit: ['*'] },
    { emit: ['progres*'] },
    { kv: [{ prefix: '' }] },
    { kv: [{ prefix: 'shared/', write: true }] },
    { ask: [{ to: 'counter/*', events: ['reset'] }] },
    { ask: [{ to: 'count*'.replace('*', '/x'), events: ['get'] }] },
    { http: [{ origin: 'https://a.example', path: '/v12', methods: ['GET'] }] },
    { http: [{ origin: 'https://b.example', path: '/v1', methods: ['GET'] }] },
    { http: [{ origin: 'https://a.example', path: '/v1', methods: ['POST'] }] },
    { http: [{ origin: 'https://a.example', path: '/v1', methods: ['GET'], headers: { 'x-key': 'other' } }] },
    { ttlMs: allowed.ttlMs + 1 },
    { quotas: { calls: allowed.quotas.calls + 1 } },
  ])
    t.is(beyond(more).length, 1, JSON.stringify(more));
});

test('who steers publishes, who is listed submits, and runs move what the governor knows', async (t) => {
  const pending = Promise.withResolvers<object>();
  await using realm = await testRealm({
    machines: [component, sandbox, registry, worker],
    drivers: { sandbox: () => pending.promise },
  });
  const say = async (from: string, event: object, to = 'component/wc'): Promise<unknown> => {
    const { reply } = await realm.ask(to, event as never, { from });
    return reply;
  };
  const contract = {
    name: 'wc',
    version: '1.0.0',
    submitters: ['session/*'],
    slo: SLO,
    limits: { fuel: 1_000 },
    worker: { capabilities: ['code:go'] },
  };
  const publish = (changes: object = {}, from = 'operator/o', sha256 = SHA): Promise<unknown> =>
    say(from, { type: 'component.publish', contract: { ...contract, ...changes }, sha256, bytes: 10 });

  await t.throwsAsync(say('operator/o', { type: 'component.get' }), { code: 'unknown_component' });
  await t.throwsAsync(publish({}, 'session/a'), { code: 'component_not_permitted' });
  await t.throwsAsync(say('session/a', { type: 'component.nothing' }), { code: 'unknown_component' });
  t.like(await publish(), { accepted: true });
  t.like(await publish({ version: '9.0.0' }, 'session/a'), { code: 'component_not_permitted' });
  t.like(await publish(), { accepted: true }, 'the same again changes nothing');
  t.like(await publish({}, 'operator/o', 'b'.repeat(64)), { accepted: false, code: 'old_contract' });
  t.like(await publish({ name: 'other' }), { accepted: false });

  const submit = (task: object, from = 'session/a'): Promise<unknown> =>
    say(from, { type: 'component.submit', task });
  t.like(await submit({}, 'agent/x'), { accepted: false, code: 'component_not_permitted' });
  t.like(await submit({ tenant: 'session/b' }), { accepted: false, code: 'component_not_permitted' });
  t.like(await submit({ limits: { fuel: 1_001 } }), { accepted: false, code: 'beyond_contract' });
  t.like(await submit({ grant: { emit: ['x'] } }), { accepted: false, reason: 'emit x' });
  t.like(await submit({ input: { text: 'hello' } }), { accepted: true, task: 'sandbox/wc.1' });
  t.like(await submit({ tenant: 'session/b' }, 'operator/o'), { accepted: true, task: 'sandbox/wc.2' });
  await realm.idle();
  const { reply } = await realm.ask('sandbox/wc.1', { type: 'sandbox.get' }, { from: 'session/a' });
  t.like(reply, {
    status: 'queued',
    task: { by: 'session/a', tenant: 'session/a', limits: { fuel: 1_000 }, retries: 2 },
  });

  const ran = (from: string, outcome: string): Promise<unknown> =>
    say(from, { type: 'component.ran', ms: 5, outcome });
  await ran('session/a', 'bad');
  await ran('sandbox/other.1', 'bad');
  const view = async (): Promise<ComponentView> =>
    (await say('operator/o', { type: 'component.get' })) as ComponentView;
  t.is((await view()).slo.runs, 0, 'only its own tasks are heard');
  for (let run = 0; run < WARM_RUNS; run += 1) await ran('sandbox/wc.1', 'bad');
  await realm.idle();
  t.like(await view(), {
    reputation: { value: 0 },
    slo: { runs: WARM_RUNS, successRate: 0, broken: ['successRate'] },
  });
  const known = (await say('operator/o', { type: 'worker.get' }, 'worker/wc')) as WorkerView;
  t.like(known, { status: 'registered', reputation: { value: 0 }, profile: { capabilities: ['code:go'] } });
  const forged = { type: 'worker.reputation', reputation: { value: 1, at: 0 } };
  t.like(await say('component/other', forged, 'worker/wc'), { accepted: false });
  t.like(await say('session/wc', forged, 'worker/wc'), { accepted: false });

  t.like(await publish({ version: '1.0.1' }, 'operator/o', 'b'.repeat(64)), { accepted: true });
  t.like(await view(), { sha256: 'b'.repeat(64), slo: { runs: 0 }, reputation: { value: REPUTATION_START } });
  t.like(await say('operator/o', { type: 'component.retire', reason: 'old' }), { accepted: true });
  t.like(await submit({}), { accepted: false, code: 'component_retired' });
  pending.resolve({});
});
