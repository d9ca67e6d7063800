import test from 'ava';
import { acquireLease } from '#runtime/claims/lease';
import { memoryLeases, seededRandom, VirtualClock } from '#runtime/testing/testing';
import { silentLogger } from '../rig/nats.ts';

test('one holder at a time; a released or expired lease is free at once, under a higher token (L1)', async (t) => {
  const clock = new VirtualClock();
  const store = memoryLeases(clock);
  const random = seededRandom(1);
  const take = (holder: string) =>
    acquireLease({ store, key: 'shard.0', holder, ttlMs: 3_000, clock, random, logger: silentLogger });
  const first = await take('a');
  t.is(await take('b'), undefined);
  await clock.advance(60_000);
  t.is(await take('b'), undefined);
  let freed = 0;
  const watch = await store.watchFreed('shard.0', () => {
    freed += 1;
  });
  await first?.release();
  t.is(freed, 1);
  const second = await take('b');
  t.true((second?.token ?? 0) > (first?.token ?? 0));
  // Taken away behind its back: the holder finds out at its next renewal.
  await store.remove('shard.0', (await store.get('shard.0'))?.revision ?? 0);
  await clock.advance(3_000);
  t.regex((await second?.lost) ?? '', /another node holds it/);
  await watch.close();
});

test('timers fire by time, then in the order they were set; a cleared one never fires (V1)', async (t) => {
  const clock = new VirtualClock();
  const fired: string[] = [];
  clock.setTimer(() => fired.push('late'), 20);
  clock.setTimer(() => fired.push('a'), 10);
  clock.setTimer(() => fired.push('b'), 10);
  clock.clearTimer(clock.setTimer(() => fired.push('never'), 5));
  await clock.advance(10);
  t.deepEqual(fired, ['a', 'b']);
  await clock.runUntilIdle();
  t.deepEqual(fired, ['a', 'b', 'late']);
  t.is(clock.pending, 0);
});
