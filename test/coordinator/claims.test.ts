/** What a client makes of its claims: what came of one that is checked, and whether a lease was renewed. */
import test from 'ava';
import type { Asking } from '#actors/coordinator/asking';
import { checkedOf } from '#actors/coordinator/checked';
import { Claims } from '#actors/coordinator/claims';
import { Leases } from '#actors/coordinator/leases';
import { outcomeOf } from '#actors/coordinator/outcome';
import type { LeaseRequest } from '#runtime/claims/lease-door';
import type { LeaseKeys } from '#runtime/claims/lease-store';
import type { Client } from '#runtime/client/client';
import { memoryLeases } from '#runtime/testing/memory-leases';
import { VirtualClock } from '#runtime/testing/virtual-clock';
import { taskView } from './views.ts';

const A = 'session/a';

/** Of A, for whom a node writes the key of `x`. */
function clientOver(keys: LeaseKeys): Client {
  const answerOf = async (request: LeaseRequest): Promise<object> => {
    if (request.op === 'get') return { row: await keys.get('x') };
    if (request.op === 'remove') return { removed: await keys.remove('x', request.revision) };
    const { value, ttlMs } = request;
    if (request.op === 'create') return { revision: await keys.create('x', value, ttlMs) };
    return { revision: await keys.update('x', value, request.revision, ttlMs) };
  };
  const connection = {
    subscribe: () => ({ unsubscribe: () => undefined }),
    request: async (_: string, body: string) => {
      const answer = await answerOf(JSON.parse(body) as LeaseRequest);
      return { json: () => ({ ok: true, ...answer }) };
    },
  };
  return { connection, from: A, prefix: 'if' } as unknown as Client;
}

test('a claim that the governor permitted is over where it is nobody’s any more', (t) => {
  const check = (permitted: boolean | null) => ({ worker: A, permitted, verdict: null });
  const free = { status: 'available', worker: null, token: 5 } as const;
  t.is(checkedOf(taskView('x', { ...free, check: check(null) }), A), undefined, 'the governor is asked');
  t.like(checkedOf(taskView('x', { ...free, check: check(false) }), A), { code: 'not_eligible' });
  t.like(checkedOf(taskView('x', { ...free, check: check(true) }), A), { code: 'not_yours' });
  t.deepEqual(checkedOf(taskView('x', { ...free, status: 'claimed', worker: A, check: check(true) }), A), {
    accepted: true,
    token: 5,
  });
});

test('what is decided is found by who hears no events, too', async (t) => {
  // As where the server lets it listen to nothing: subscribed, and never called.
  const connection = { subscribe: () => ({ unsubscribe: () => undefined }) };
  let looks = 0;
  const found = await outcomeOf({ connection, prefix: 'if' } as unknown as Client, {
    type: 'task',
    id: 'x',
    look: async () => (looks += 1),
    shown: () => undefined,
    outcomeOf: (n) => (n === 3 ? 'decided' : undefined),
  });
  t.is(found, 'decided');
});

test('a lease that is held is not renewed where nobody stored it', async (t) => {
  const clock = new VirtualClock();
  const store = memoryLeases(clock);
  let isAway = false;
  const unclear: LeaseKeys = {
    ...store,
    update: async (...given) => {
      if (isAway) throw new Error('TIMEOUT');
      return await store.update(...given);
    },
  };
  const leases = new Leases({ store: unclear, keyOf: (actor) => actor, holder: A, leaseMs: 60_000 });
  t.teardown(() => leases[Symbol.asyncDispose]());
  t.false(await leases.renew(A), 'there is none');
  const taken = await leases.take(A, async () => true);
  t.true(await leases.renew(A));
  isAway = true;
  t.false(await leases.renew(A));
  t.truthy(await leases.held(A), 'it holds on: the store may only be away');
  isAway = false;
  t.true(await leases.renew(A));
  await leases.release(A, taken?.nonce ?? '');
  t.false(await leases.renew(A));
});

test('who claimed goes on before the key is written, and what is done with the lease waits for it', async (t) => {
  const store = memoryLeases(new VirtualClock());
  const leases = new Leases({ store, keyOf: (actor) => actor, holder: A, leaseMs: 60_000 });
  t.teardown(() => leases[Symbol.asyncDispose]());
  const begun = leases.begin('task/x', 'n1', async () => true);
  await Promise.resolve();
  t.is(await store.get('task/x'), undefined);
  t.true(await leases.renew('task/x'), 'renewed once it is there');
  t.is((await begun)?.nonce, 'n1');
  const again = leases.begin('task/y', 'n2', async () => true);
  await leases.release('task/y', 'n2');
  t.is(await store.get('task/y'), undefined, 'released, not forgotten while it was written');
  t.truthy(await again);
});

test('a key whose writing is answered late is not kept instead of that of the claim made since', async (t) => {
  const store = memoryLeases(new VirtualClock());
  const [written, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isFirst = true;
  const slow: LeaseKeys = {
    ...store,
    create: async (...given) => {
      const isLate = isFirst;
      isFirst = false;
      const revision = await store.create(...given);
      written.resolve();
      if (isLate) await answered.promise;
      return revision;
    },
  };
  const leases = new Leases({ store: slow, keyOf: (actor) => actor, holder: A, leaseMs: 60_000 });
  t.teardown(() => leases[Symbol.asyncDispose]());
  const first = leases.begin('task/x', 'n1', async () => true);
  await written.promise;
  t.is((await leases.begin('task/x', 'n2', async () => true))?.nonce, 'n2');
  answered.resolve();
  t.is(await first, undefined);
  t.is((await leases.held('task/x'))?.nonce, 'n2');
  t.true(await leases.renew('task/x'));
});

test('a late refusal of a write under a claim that is over does not end the claim made since', async (t) => {
  const connection = {
    subscribe: () => ({ unsubscribe: () => undefined }),
    request: async () => ({ json: () => ({ ok: true, revision: 7 }) }),
  };
  const client = { connection, from: A, prefix: 'if' } as unknown as Client;
  const late = Promise.withResolvers<unknown>();
  let token = 4;
  const asking = {
    task: async (_: string, { action }: { readonly action: string }) => {
      if (action === 'claim') token += 1;
      if (action === 'progress') return await late.promise;
      return { accepted: true, status: 'claimed', milestone: 0, token };
    },
    taskView: async () => undefined,
  } as unknown as Asking;
  const claims = new Claims(client, asking, 'a', { leases: 'node' });
  t.teardown(() => claims[Symbol.asyncDispose]());
  const first = await claims.claim('x');
  const written = claims.write('x', { action: 'progress', milestone: 10 });
  await claims.end('x', { action: 'release' });
  const second = await claims.claim('x');
  t.true(first.won && second.won && second.claim.token > first.claim.token);
  late.resolve({ accepted: false, code: 'stale_token', reason: 'token 5', status: 'claimed' });
  t.like(await written, { code: 'stale_token' });
  t.true(claims.has('x'));
  // What is said of the claim it has now ends it.
  t.like(await claims.write('x', { action: 'progress', milestone: 20 }), { code: 'stale_token' });
  t.false(claims.has('x'));
});

test('a claim that ends while its key is being written leaves the key of the claim made since', async (t) => {
  const store = memoryLeases(new VirtualClock());
  const back = Promise.withResolvers<void>();
  let creations = 0;
  const slow: LeaseKeys = {
    ...store,
    create: async (...given) => {
      creations += 1;
      // The bucket is away for the first.
      if (creations === 1) await back.promise;
      return await store.create(...given);
    },
  };
  let token = 4;
  const asking = {
    task: async (_: string, { action }: { readonly action: string }) => {
      if (action === 'claim') token += 1;
      return { accepted: true, status: 'claimed', milestone: 0, token };
    },
    taskView: async () => taskView('x', { status: 'claimed', worker: A, token }),
  } as unknown as Asking;
  const claims = new Claims(clientOver(slow), asking, 'a', { leases: 'node' });
  t.teardown(() => claims[Symbol.asyncDispose]());
  await claims.claim('x');
  const ended = claims.end('x', { action: 'release' });
  while (creations === 0) await new Promise((resolve) => setImmediate(resolve));
  await claims.claim('x');
  t.true(await claims.renew('x'), 'the second has its key');
  back.resolve();
  await ended;
  t.truthy(await store.get('x'));
  t.true(await claims.renew('x'));
});

test('who is given a task takes its key as soon as the task names it, and waits for no key of another’s task', async (t) => {
  const store = memoryLeases(new VirtualClock());
  const giver = new Leases({ store, keyOf: () => 'x', holder: 'session/b', leaseMs: 60_000 });
  t.teardown(() => giver[Symbol.asyncDispose]());
  await giver.begin('task/x', 'n1', async () => true);
  let worker = 'session/b';
  let looks = 0;
  const asking = {
    taskView: async () => {
      looks += 1;
      // The giver hears the task's answer, and hands its key on, after the taker has heard of it.
      if (worker === A && looks === 3) await giver.transfer('task/x', A);
      return taskView('x', { status: 'claimed', worker, token: 6 });
    },
  } as unknown as Asking;
  const claims = new Claims(clientOver(store), asking, 'a', { leases: 'node' });
  t.teardown(() => claims[Symbol.asyncDispose]());
  t.like(await claims.adopt('x'), { won: false, code: 'not_yours' });
  t.is(looks, 1);
  worker = A;
  t.like(await claims.adopt('x'), { won: true, claim: { token: 6 } });
  t.true(await claims.renew('x'));
});
