import { setTimeout as pause } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import test from 'ava';
import { connectBus } from '#runtime/bus/connection';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { systemClock, systemRandom } from '#runtime/bus/system';
import {
  acquireLease,
  adoptLease,
  holderOf,
  type Lease,
  type LeaseOptions,
  readClaim,
} from '#runtime/claims/lease';
import { followLeases } from '#runtime/claims/lease-bucket';
import { LeaseEnds } from '#runtime/claims/lease-ends';
import type { LeaseStore } from '#runtime/claims/lease-store';
import { natsLeases } from '#runtime/claims/nats-leases';
import type { DriverRealm } from '#runtime/effects/driver';
import { memoryLeases } from '#runtime/testing/memory-leases';
import { seededRandom } from '#runtime/testing/seeded-random';
import { VirtualClock } from '#runtime/testing/virtual-clock';
import { TcpProxy } from '../chaos/tcp-proxy.ts';
import { silentLogger, TestServer } from '../rig/nats.ts';

const TTL_MS = 3_000;

interface World {
  readonly clock: VirtualClock;
  readonly store: LeaseStore;
  options(holder: string, store?: LeaseStore): LeaseOptions;
}

function world(): World {
  const clock = new VirtualClock();
  const store = memoryLeases(clock);
  const random = seededRandom(1);
  return {
    clock,
    store,
    options: (holder, over = store) => ({
      store: over,
      key: 'shard.0',
      holder,
      ttlMs: TTL_MS,
      clock,
      random,
      logger: silentLogger,
    }),
  };
}

async function take(options: LeaseOptions): Promise<Lease> {
  const lease = await acquireLease(options);
  if (lease === undefined) throw new Error('the lease is free');
  return lease;
}

/** Why it was lost, as far as it was. */
function loss(lease: Lease): { reason: string | undefined } {
  const seen: { reason: string | undefined } = { reason: undefined };
  void lease.lost.then((reason) => {
    seen.reason = reason;
  });
  return seen;
}

test('L1: of rivals for a free lease one wins; the others are told who holds it', async (t) => {
  const { store, options } = world();
  const results = await Promise.all(['a', 'b', 'c'].map((holder) => acquireLease(options(holder))));
  t.deepEqual(
    results.map((lease) => lease !== undefined),
    [true, false, false],
  );
  const stored = await store.get('shard.0');
  t.is(stored && holderOf(stored), 'a');
});

test('L1: a lease lives far beyond its TTL while it is renewed, under one token', async (t) => {
  const { clock, store, options } = world();
  const lease = await take(options('a'));
  const lost = loss(lease);
  await clock.advance(20 * TTL_MS);
  t.is(lost.reason, undefined);
  t.is(await acquireLease(options('b')), undefined);
  t.true(((await store.get('shard.0'))?.revision ?? 0) > lease.token);
});

test('L1: who comes later has a higher token; release frees at once and tells who waits', async (t) => {
  const { store, options } = world();
  const first = await take(options('a'));
  let freed = 0;
  const watch = await store.watchFreed('shard.0', () => {
    freed += 1;
  });
  const lost = loss(first);
  await first.release();
  await first.release();
  t.is(freed, 1);
  const second = await take(options('b'));
  t.true(second.token > first.token);
  t.is(lost.reason, undefined, 'releasing is no loss');
  await watch.close();
});

test('L1: a late release or renewal of an old holder does not touch the next one', async (t) => {
  const { clock, store, options } = world();
  const frozen = await take(options('a', { ...store, update: () => new Promise(() => {}) }));
  await clock.advance(TTL_MS);
  const next = await take(options('b'));
  const lost = loss(next);
  await frozen.release();
  await clock.advance(5 * TTL_MS);
  t.is(lost.reason, undefined);
  const stored = await store.get('shard.0');
  t.is(stored && holderOf(stored), 'b');
});

test('L2: a claim whose answer was lost is ours when our nonce is stored, and not when another’s is', async (t) => {
  const { store, options } = world();
  const forgetful = (stored: boolean): LeaseStore => ({
    ...store,
    async create(key, value, ttlMs) {
      if (stored) await store.create(key, value, ttlMs);
      throw new Error('timeout');
    },
  });
  await t.throwsAsync(acquireLease(options('a', forgetful(false))), { message: 'timeout' });
  const lease = await take(options('a', forgetful(true)));
  await t.throwsAsync(
    acquireLease(options('a', forgetful(true))),
    { message: 'timeout' },
    'the same holder again',
  );
  await lease.release();
});

test('L2: a renewal whose answer was lost is found to be ours', async (t) => {
  const { clock, store, options } = world();
  let forget = true;
  const lease = await take(
    options('a', {
      ...store,
      async update(key, value, revision, ttlMs) {
        const renewed = await store.update(key, value, revision, ttlMs);
        if (!forget) return renewed;
        forget = false;
        throw new Error('timeout');
      },
    }),
  );
  const lost = loss(lease);
  await clock.advance(4 * TTL_MS);
  t.is(lost.reason, undefined);
});

test('L3: a tenacious holder outlasts an outage of the store, takes an expired lease again, and yields to who has it', async (t) => {
  const { clock, store, options } = world();
  let isAway = false;
  const away = <T>(call: () => Promise<T>): Promise<T> =>
    isAway ? Promise.reject(new Error('away')) : call();
  const shaky: LeaseStore = {
    ...store,
    update: (...args) => away(() => store.update(...args)),
    create: (...args) => away(() => store.create(...args)),
    get: (key) => away(() => store.get(key)),
  };
  const lease = await take({ ...options('a', shaky), tenacious: true });
  const lost = loss(lease);
  isAway = true;
  await clock.advance(3 * TTL_MS);
  t.is(await store.get('shard.0'), undefined, 'it expired');
  isAway = false;
  await clock.advance(TTL_MS);
  t.is(lost.reason, undefined);
  t.is(holderOf((await store.get('shard.0')) ?? { value: '{}' }), 'a');
  isAway = true;
  await clock.advance(3 * TTL_MS);
  await take(options('b'));
  isAway = false;
  await clock.advance(TTL_MS);
  t.truthy(lost.reason);
  t.is(holderOf((await store.get('shard.0')) ?? { value: '{}' }), 'b');
});

test('L4: a transferred lease is the giver’s, then the taker’s, and nobody’s in between', async (t) => {
  const { clock, store, options } = world();
  const seen: (string | undefined)[] = [];
  await store.watch('shard.', (_, row) => seen.push(row && holderOf(row)));
  const given = await take(options('a'));
  const lost = loss(given);
  t.true(await given.transfer('b', 'word'));
  const row = await store.get('shard.0');
  if (row === undefined) throw new Error('it is held');
  t.deepEqual(readClaim(row), { holder: 'b', nonce: given.nonce, given: 'word', giver: 'a' });
  t.is(await acquireLease(options('c')), undefined);
  const taken = await adoptLease(options('b'), row);
  t.true((taken?.token ?? 0) > given.token);
  t.is(await adoptLease(options('b'), row), undefined, 'once');
  // What the giver does late touches nothing.
  await given.release();
  t.false(await given.transfer('c', 'word'));
  await clock.advance(5 * TTL_MS);
  t.is(lost.reason, undefined, 'giving is no loss');
  const stored = await store.get('shard.0');
  t.like(stored && readClaim(stored), { holder: 'b', given: undefined });
  t.deepEqual([...new Set(seen)], ['a', 'b']);
});

test('L4: a taker that never begins lets the lease expire, and the giver’s token is worth nothing', async (t) => {
  const { clock, store, options } = world();
  const given = await take(options('a'));
  t.true(await given.transfer('dead', 'word'));
  await clock.advance(TTL_MS);
  t.not(await acquireLease(options('b')), undefined);
  t.is(await store.update('shard.0', '{}', given.token, TTL_MS), undefined);
});

test('L4: a transfer or adoption whose answer was lost is settled by what is stored', async (t) => {
  const { store, options } = world();
  const forgetful: LeaseStore = {
    ...store,
    async update(key, value, revision, ttlMs) {
      await store.update(key, value, revision, ttlMs);
      throw new Error('timeout');
    },
  };
  const given = await take(options('a', forgetful));
  t.true(await given.transfer('b', 'word'));
  const row = await store.get('shard.0');
  if (row === undefined) throw new Error('it is held');
  t.not(await adoptLease(options('b', forgetful), row), undefined);
  const nothing: LeaseStore = { ...store, update: () => Promise.reject(new Error('timeout')) };
  const other = await store.get('shard.0');
  if (other === undefined) throw new Error('it is held');
  await t.throwsAsync(adoptLease(options('b', nothing), other), { message: 'timeout' });
});

test('L3: a holder cut off from the store gives up within its TTL, before anyone else can hold the lease', async (t) => {
  const { clock, store, options } = world();
  const lease = await take(
    options('a', {
      ...store,
      update: () => Promise.reject(new Error('no connection')),
    }),
  );
  const lost = loss(lease);
  await clock.advance(TTL_MS - 1);
  t.is(lost.reason, undefined);
  t.is(await acquireLease(options('b')), undefined);
  await clock.advance(1);
  t.regex(lost.reason ?? '', /within its TTL/);
  t.not(await acquireLease(options('b')), undefined);
});

test('L3: a holder whose lease another took is told at its next renewal', async (t) => {
  const { clock, store, options } = world();
  const lease = await take(options('a'));
  const lost = loss(lease);
  t.true(await lease.isHeld());
  await store.remove('shard.0', (await store.get('shard.0'))?.revision ?? 0);
  t.false(await lease.isHeld());
  await take(options('b'));
  t.false(await lease.isHeld());
  await clock.advance(TTL_MS / 2);
  t.regex(lost.reason ?? '', /another/);
  t.is(clock.pending > 0, true, 'only b renews on');
});

async function realStore(t: {
  teardown(fn: () => Promise<void>): void;
}): Promise<{ server: TestServer; nc: NatsConnection; store: LeaseStore }> {
  const server = await TestServer.start();
  t.teardown(() => server[Symbol.asyncDispose]());
  const nc = await server.connect();
  const subjects = new Subjects('if', 1);
  const size = 1 << 24;
  await ensureStreams(nc, subjects, {
    replicas: 1,
    inboxBytesMax: size,
    deadBytesMax: size,
    logBytesMax: -1,
  });
  return { server, nc, store: await natsLeases(nc, subjects.buckets.claims) };
}

test('E4: who renews a lease that counts no more keeps nobody waiting', async (t) => {
  const clock = new VirtualClock();
  const ends = new LeaseEnds(clock);
  const told: string[] = [];
  ends.hear('task', 'old');
  void ends.wait('task', 'new', 30_000, new AbortController().signal).then((end) => told.push(end));
  for (let n = 0; n < 3; n += 1) {
    await clock.advance(400);
    ends.hear('task', 'old');
  }
  t.deepEqual(told, ['replaced']);
  void ends.wait('task', 'newer', 30_000, new AbortController().signal).then((end) => told.push(end));
  await clock.advance(900);
  ends.hear('task', 'newer');
  await clock.advance(60_000);
  t.deepEqual(told, ['replaced'], 'its own row came');
  ends.forgetRows();
  for (let n = 0; n < 3; n += 1) {
    await clock.advance(10_000);
    ends.forgetRows();
  }
  t.deepEqual(told, ['replaced', 'absent']);
});

test('on a real bucket: one winner, compare-and-swap, tokens that only grow', async (t) => {
  const { store } = await realStore(t);
  const wins = await Promise.all(Array.from({ length: 32 }, (_, n) => store.create('k', String(n), 5_000)));
  t.is(wins.filter((revision) => revision !== undefined).length, 1);
  const held = await store.get('k');
  const renewed = await store.update('k', 'again', held?.revision ?? 0, 5_000);
  t.true((renewed ?? 0) > (held?.revision ?? 0));
  t.is(await store.update('k', 'stale', held?.revision ?? 0, 5_000), undefined);
  await store.remove('k', held?.revision ?? 0);
  t.is((await store.get('k'))?.value, 'again', 'a stale holder removes nothing');
  await store.remove('k', renewed ?? 0);
  t.is(await store.get('k'), undefined);
  t.true(((await store.create('k', 'next', 5_000)) ?? 0) > (renewed ?? 0));
});

test('on a real bucket: a renewal keeps the TTL, and expiry is told', async (t) => {
  const { store } = await realStore(t);
  const revision = await store.create('k', 'a', 1_000);
  t.not(await store.update('k', 'a', revision ?? 0, 1_000), undefined);
  const freed = Promise.withResolvers<void>();
  const watch = await store.watchFreed('k', () => freed.resolve());
  await freed.promise;
  t.is(await store.get('k'), undefined);
  t.not(await store.create('k', 'b', 1_000), undefined);
  await watch.close();
});

test('on a real bucket: a lease outlives kill -9 of the server, and its holder keeps renewing it', async (t) => {
  const { server, nc, store } = await realStore(t);
  const options = {
    store,
    key: 'k',
    ttlMs: 8_000,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  };
  const lease = await take({ ...options, holder: 'a' });
  const lost = loss(lease);
  const back = (async () => {
    for await (const { type } of nc.status()) if (type === 'reconnect') return;
  })();
  server.kill();
  await back;
  const stored = await store.get('k');
  t.is(stored && holderOf(stored), 'a');
  t.is(await acquireLease({ ...options, holder: 'b' }), undefined);
  await lease.release();
  t.is(lost.reason, undefined);
  t.is(await store.get('k'), undefined);
});

/** A connection that can be cut; what is removed meanwhile leaves no marker, as after the time that markers stay. */
async function cuttable(t: { teardown(fn: () => Promise<void>): void }, server: TestServer) {
  const proxy = await TcpProxy.start([Number(new URL(server.url).port)]);
  const nc = await connectBus({ url: proxy.url, token: server.token, name: 'cut', logger: silentLogger });
  t.teardown(async () => {
    await nc.close();
    await proxy.close();
  });
  return { proxy, nc };
}

async function vanish(nc: NatsConnection, bucket: string, key: string): Promise<void> {
  await (await jetstreamManager(nc)).streams.purge(`KV_${bucket}`, { filter: `$KV.${bucket}.${key}` });
}

test('on a real bucket: a row that went while the watcher was cut off, its marker too, is told after the reconnect', async (t) => {
  const { server, nc, store } = await realStore(t);
  const { buckets } = new Subjects('if', 1);
  const cut = await cuttable(t, server);
  for (const n of [0, 1, 2]) await store.create(`shard.${n}`, 'before', 60_000);
  const told: string[] = [];
  const news = await (await natsLeases(cut.nc, buckets.claims)).watch('shard.', (key, row) => {
    told.push(`${key} ${row?.value}`);
  });
  t.teardown(() => news.close());
  cut.proxy.cut();
  await vanish(nc, buckets.claims, 'shard.1');
  await vanish(nc, buckets.claims, 'shard.2');
  await store.create('shard.2', 'after', 60_000);
  cut.proxy.heal();
  for (let n = 0; n < 200 && told.length < 5; n += 1) await pause(100);
  t.deepEqual(told.slice(0, 3), ['shard.0 before', 'shard.1 before', 'shard.2 before']);
  t.deepEqual(told.slice(3).toSorted(), ['shard.1 undefined', 'shard.2 after']);
});

test('on a real bucket: a worker’s lease that ended while nothing was heard of it ends for who waits', async (t) => {
  const { nc } = await realStore(t);
  const subjects = new Subjects('if', 1);
  const store = await natsLeases(nc, subjects.buckets.leases);
  await store.create('task', 'lease', 60_000);
  let skewMs = 0;
  const clock = { ...systemClock, now: () => Date.now() + skewMs };
  const ends = new LeaseEnds(clock);
  const heard = Promise.withResolvers<void>();
  const realm = { nc, subjects, clock, logger: silentLogger } as unknown as DriverRealm;
  const news = await followLeases(realm, {
    row: (key, value) => {
      ends.hear(key, value);
      heard.resolve();
    },
    lost: () => ends.forgetRows(),
  });
  t.teardown(() => news[Symbol.asyncDispose]());
  await heard.promise;
  const over = ends.wait('task', 'lease', 100, AbortSignal.timeout(15_000));
  await vanish(nc, subjects.buckets.leases, 'task');
  // As if no look had been answered for so long.
  skewMs = 61_000;
  t.is(await over, 'absent');
  // One that is taken again is heard of as before.
  await store.create('task', 'next', 60_000);
  t.is(await ends.wait('task', 'lease', 10_000, AbortSignal.timeout(15_000)), 'replaced');
});
