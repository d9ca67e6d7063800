/** The presence of a session by its processes, on leases in memory. */
import test from 'ava';
import { Asking } from '#actors/coordinator/asking';
import { Leases } from '#actors/coordinator/leases';
import { Presence } from '#actors/coordinator/presence';
import { readClaim } from '#runtime/claims/lease';
import type { LeaseStore } from '#runtime/claims/lease-store';
import type { Client } from '#runtime/client/client';
import { memoryLeases } from '#runtime/testing/memory-leases';
import { VirtualClock } from '#runtime/testing/virtual-clock';
import { World } from './world.ts';

const A = 'session/a';
const LEASE_MS = 60_000;

/** The presence of one process of the session. */
function processIn(world: World, store: LeaseStore): Presence {
  const ask = async (to: string, event: object) => await world.realm.ask(to, event, { from: A });
  const asking = new Asking({ ask } as unknown as Client, {});
  const leases = new Leases({ store, keyOf: (actor) => actor, holder: A, leaseMs: LEASE_MS });
  return new Presence(A, asking, leases, LEASE_MS);
}

async function watchedStore(world: World): Promise<LeaseStore> {
  const store = memoryLeases(new VirtualClock());
  await store.watch('', (key, row) => world.ends.hear(key, row && readClaim(row).nonce));
  return store;
}

test('a process that slept past its lease is present again when it renews', async (t) => {
  await using world = await World.open();
  const store = await watchedStore(world);
  const slept = processIn(world, store);
  await slept.begin({ capabilities: ['x'] });
  const row = await store.get(A);
  await store.remove(A, row?.revision ?? 0);
  await world.realm.idle();
  t.is((await world.session('a')).status, 'gone');
  t.true(await slept.renew());
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'idle', capabilities: ['x'] });
  // It is present for as long as the lease that it put back.
  await slept.end();
  t.is((await world.session('a')).status, 'gone');
  t.is(await store.get(A), undefined);
  t.false(await slept.renew());
  t.is((await world.session('a')).status, 'gone');
});

test('the end of a process leaves its successor present', async (t) => {
  await using world = await World.open();
  const store = await watchedStore(world);
  const before = processIn(world, store);
  await before.begin({});
  const next = processIn(world, store);
  await next.begin({});
  await before.end();
  await world.realm.idle();
  t.is((await world.session('a')).status, 'idle');
  t.true(await next.renew());
  await next.end();
  t.is((await world.session('a')).status, 'gone');
});

test('a process that slept does not take the session from who has it by now', async (t) => {
  await using world = await World.open();
  const store = await watchedStore(world);
  const slept = processIn(world, store);
  await slept.begin({});
  const next = processIn(world, store);
  await next.begin({ capabilities: ['next'] });
  t.false(await slept.renew());
  t.true(await next.renew());
  await slept.end();
  t.like(await world.session('a'), { status: 'idle', capabilities: ['next'] });
  await next.end();
});

test('a process that slept does not come back over what has happened since: a successor, or that it was sent away', async (t) => {
  await using world = await World.open();
  const store = await watchedStore(world);
  const slept = processIn(world, store);
  await slept.begin({});
  const lost = async (): Promise<void> => {
    const row = await store.get(A);
    await store.remove(A, row?.revision ?? 0);
    await world.realm.idle();
    t.is((await world.session('a')).status, 'gone');
  };
  // Its word comes after its successor's.
  const lease = readClaim((await store.get(A)) ?? t.fail()).nonce;
  await lost();
  const next = processIn(world, store);
  await next.begin({ capabilities: ['next'] });
  await world.ask(A, A, { type: 'session.register', back: true, lease, leaseMs: LEASE_MS });
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'idle', capabilities: ['next'] });
  t.true(await next.renew());
  t.false(await slept.renew());

  await world.ask('operator/o', A, { type: 'session.leave' });
  await lost();
  t.false(await next.renew());
  t.is((await world.session('a')).status, 'gone');
});

test('one that was registered without a lease meanwhile goes when its process leaves', async (t) => {
  await using world = await World.open();
  const one = processIn(world, await watchedStore(world));
  await one.begin({});
  await world.register('a', { capabilities: ['x'] });
  await one.end();
  t.is((await world.session('a')).status, 'gone');
});
