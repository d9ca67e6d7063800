import test from 'ava';
import fc from 'fast-check';
import { EffectDesk } from '#runtime/effects/desk';
import type { EffectLink, LinkMessage } from '#runtime/effects/link';
import { createEffectHub } from '#runtime/effects/runner';
import type { EffectResult, PendingEffect } from '#runtime/shard/ports';
import { seededRandom } from '#runtime/testing/seeded-random';
import { VirtualClock } from '#runtime/testing/virtual-clock';
import { silentLogger } from '../rig/nats.ts';

/** Nodes with their desks, over a link that loses and repeats what it is told to. */
class World {
  readonly clock = new VirtualClock();
  readonly runs: { readonly node: string; readonly key: string }[] = [];
  /** Keys whose signal was aborted. */
  readonly aborted: string[] = [];
  /** Nodes that are there, in the order they are wanted; the first runs what has labels. */
  fit: string[] = [];
  fate: (message: LinkMessage) => 'ok' | 'lost' | 'twice' = () => 'ok';
  /** How long an effect takes, ms. */
  tookMs = 0;
  readonly #doors = new Map<string, (message: LinkMessage) => void>();
  readonly #heard = new Set<() => void>();
  readonly #there = new Set<string>();

  desk(nodeId: string): EffectDesk {
    const { clock } = this;
    const driver = {
      name: 'sip',
      run: async ({ key, signal }: { key: string; signal: AbortSignal }) => {
        this.runs.push({ node: nodeId, key });
        signal.addEventListener('abort', () => this.aborted.push(key));
        if (this.tookMs > 0) await new Promise<void>((done) => clock.setTimer(done, this.tookMs));
        return nodeId;
      },
    };
    const hub = createEffectHub({ drivers: [driver], clock, random: seededRandom(1), log: silentLogger });
    this.#there.add(nodeId);
    return new EffectDesk({
      nodeId,
      hub,
      link: this.#link(nodeId),
      labelsOf: (actor) => (actor.startsWith('bridge/') ? { sip: 'true' } : undefined),
      place: () => this.fit[0],
      isThere: (id) => this.#there.has(id),
      onChange: (heard) => {
        this.#heard.add(heard);
        return () => this.#heard.delete(heard);
      },
      clock,
      log: silentLogger,
    });
  }

  /** `kill -9`: nothing reaches it any more, and its row ends. */
  kill(nodeId: string): void {
    this.#doors.delete(nodeId);
    this.#there.delete(nodeId);
    this.fit = this.fit.filter((id) => id !== nodeId);
    this.changed();
  }

  changed(): void {
    for (const heard of this.#heard) heard();
  }

  #link(nodeId: string): EffectLink {
    return {
      send: (to, message) => {
        const fate = this.#there.has(nodeId) ? this.fate(message) : 'lost';
        for (let n = 0; n < (fate === 'lost' ? 0 : fate === 'twice' ? 2 : 1); n++) {
          queueMicrotask(() => this.#doors.get(to)?.(message));
        }
      },
      open: (hear) => {
        this.#doors.set(nodeId, hear);
        return {
          close: async () => {
            this.#doors.delete(nodeId);
          },
        };
      },
    };
  }
}

function effect(n: number, actor = `bridge/b${n}`): PendingEffect {
  return { key: `k${n}`, actor, driver: 'sip', input: {} } as unknown as PendingEffect;
}

test('effects without labels run at the owner, those with labels at the node that has them', async (t) => {
  const world = new World();
  const owner = world.desk('owner');
  world.desk('host');
  world.fit = ['host'];
  const results: EffectResult[] = [];
  const runner = owner.runner(0, (result) => results.push(result));
  runner.start(effect(1));
  runner.start(effect(2, 'counter/c'));
  await world.clock.advance(10);
  t.deepEqual(
    results.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    [
      { key: 'k1', ok: true, output: 'host' },
      { key: 'k2', ok: true, output: 'owner' },
    ],
  );
});

test('E1, E2: over a link that loses and repeats every result comes once, and a node begins a key once', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('ok', 'ok', 'lost', 'twice'), { minLength: 5, maxLength: 40 }),
      fc.integer({ min: 0, max: 5_000 }),
      async (fates, tookMs) => {
        const world = new World();
        const owner = world.desk('owner');
        world.desk('host');
        world.fit = ['host'];
        world.tookMs = tookMs;
        const plan = [...fates];
        world.fate = () => (plan.shift() as 'ok' | undefined) ?? 'ok';
        const results: string[] = [];
        const runner = owner.runner(0, ({ key }) => results.push(key));
        for (let n = 0; n < 5; n++) runner.start(effect(n));
        await world.clock.advance(120_000);
        return results.toSorted().join() === 'k0,k1,k2,k3,k4' && world.runs.length === 5;
      },
    ),
  );
  t.pass();
});

test('E1: what a node had that died runs at another under the same key; the dead one’s late result counts no more', async (t) => {
  const world = new World();
  const owner = world.desk('owner');
  world.desk('first');
  world.desk('second');
  world.fit = ['first', 'second'];
  world.tookMs = 1_000;
  const results: EffectResult[] = [];
  const runner = owner.runner(0, (result) => results.push(result));
  runner.start(effect(1));
  await world.clock.advance(500);
  world.kill('first');
  await world.clock.advance(10_000);
  t.deepEqual(results, [{ key: 'k1', ok: true, output: 'second' }]);
  t.deepEqual(world.runs, [
    { node: 'first', key: 'k1' },
    { node: 'second', key: 'k1' },
  ]);
});

test('E2: an effect under way outlives the move of its shard: the next owner hears its result', async (t) => {
  const world = new World();
  const [old, next] = [world.desk('old'), world.desk('next')];
  world.desk('host');
  world.fit = ['host'];
  world.tookMs = 5_000;
  const heard: string[] = [];
  const before = old.runner(3, () => heard.push('old'));
  before.start(effect(1));
  await world.clock.advance(1_000);
  await before.close();
  next.runner(3, () => heard.push('next')).start(effect(1));
  await world.clock.advance(10_000);
  t.deepEqual(heard, ['next']);
  t.is(world.runs.length, 1);
});

test('E2: a shard that moves to or from the node that runs its effects finds them there, to hear of and to cancel', async (t) => {
  for (const [from, to] of [
    ['other', 'host'],
    ['host', 'other'],
  ] as const) {
    const world = new World();
    const desks = { host: world.desk('host'), other: world.desk('other') };
    world.fit = ['host'];
    world.tookMs = 5_000;
    const heard: string[] = [];
    const before = desks[from].runner(3, ({ key }) => heard.push(`${key} before`));
    for (const n of [1, 2]) before.start(effect(n));
    await world.clock.advance(1_000);
    await before.close();
    const after = desks[to].runner(3, ({ key }) => heard.push(`${key} after`));
    for (const n of [1, 2]) after.start(effect(n));
    await world.clock.advance(1_000);
    after.cancel('k2');
    await world.clock.advance(10_000);
    t.deepEqual(heard, ['k1 after'], `to ${to}`);
    t.deepEqual(world.aborted, ['k2'], `to ${to}`);
    t.is(world.runs.length, 2, `to ${to}`);
  }
});

test('a node goes on with effects of its own while nothing passes the bus', async (t) => {
  const world = new World();
  const host = world.desk('host');
  world.fit = ['host'];
  world.tookMs = 100_000;
  world.fate = () => 'lost';
  const results: EffectResult[] = [];
  host.runner(0, (result) => results.push(result)).start({ ...effect(1), timeoutMs: 200_000 });
  await world.clock.advance(150_000);
  t.deepEqual(results, [{ key: 'k1', ok: true, output: 'host' }]);
  t.is(world.runs.length, 1);
});

test('E4: what no node can run waits and starts when one comes; a cancelled one never comes back', async (t) => {
  const world = new World();
  const owner = world.desk('owner');
  const results: string[] = [];
  const runner = owner.runner(0, ({ key }) => results.push(key));
  runner.start(effect(1));
  runner.start(effect(2));
  await world.clock.advance(60_000);
  t.deepEqual(world.runs, []);
  runner.cancel('k2');
  world.desk('host');
  world.fit = ['host'];
  world.tookMs = 1_000;
  runner.start(effect(3));
  world.changed();
  await world.clock.advance(500);
  runner.cancel('k3');
  await world.clock.advance(10_000);
  t.deepEqual(results, ['k1']);
});

test('E5: what is not ordered any more ends, though the order to end it was lost; what is still wanted goes on', async (t) => {
  const world = new World();
  const owner = world.desk('owner');
  world.desk('host');
  world.fit = ['host'];
  world.tookMs = 3_600_000;
  const runner = owner.runner(0, () => undefined);
  for (const n of [1, 2]) runner.start({ ...effect(n), timeoutMs: 2 * world.tookMs });
  await world.clock.advance(600_000);
  t.deepEqual(world.aborted, []);
  world.fate = ({ kind }) => (kind === 'cancel' ? 'lost' : 'ok');
  runner.cancel('k1');
  await world.clock.advance(120_000);
  t.deepEqual(world.aborted, ['k1']);
  world.fate = () => 'lost';
  await world.clock.advance(55_000);
  world.fate = () => 'ok';
  await world.clock.advance(120_000);
  t.deepEqual(world.aborted, ['k1'], 'not while its shard may be on its way to another owner');
  world.kill('owner');
  await world.clock.advance(120_000);
  t.deepEqual(world.aborted, ['k1', 'k2']);
  t.is(world.runs.length, 2);
});
