/** What a session makes of what it hears: where it is, what it has, what it is offered, what its word weighs. */
import test from 'ava';
import { digestOf } from '#actors/coordinator/digest-driver';
import { isLateBloomer, nextWeight, remembered } from '#machines/session/weight';
import type { RoundView } from '#schemas/round';
import { profileSchema } from '#schemas/session';
import { NOW, World } from './world.ts';

const A = 'session/a';

test('a blocked task is blocked for whom it is passed on to, too: fillers are looked for', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'work' }, { id: 'dep' });
  for (const id of ['a', 'b']) await world.register(id);
  await world.say(A, 'work', 'claim');
  await world.say(A, 'work', 'block', { on: 'dep' });
  await world.say(A, 'work', 'transfer', { to: 'session/b' });
  t.like(await world.session('a'), { status: 'idle', tasks: [] });
  t.like(await world.session('b'), { status: 'blocked', tasks: [{ id: 'work', blocked: true }] });
  t.like(world.sought.at(-1), { want: 'task', session: 'b', fillersOnly: true });
  await world.say('session/c', 'dep', 'claim');
  await world.say('session/c', 'dep', 'complete');
  t.like(await world.session('b'), { status: 'working', tasks: [{ id: 'work', blocked: false }] });
});

test('who waits is offered a filler, and is moved back when its blocker clears', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'work' }, { id: 'dep' }, { id: 'fill', filler: true });
  await world.register('a', { capabilities: ['x'] });
  t.like(world.sought.at(-1), { want: 'task', session: 'a', capabilities: ['x'], fillersOnly: false });
  world.matched = ({ fillersOnly }) =>
    fillersOnly === true ? { task: 'fill', match: 1, filler: true } : undefined;
  await world.say(A, 'work', 'claim');
  await world.say(A, 'work', 'block', { on: 'dep' });
  t.like(await world.session('a'), { status: 'blocked', offered: { task: 'fill', filler: true } });
  await world.say(A, 'fill', 'claim');
  t.like(await world.session('a'), { status: 'working', offered: null });
  await world.say('session/b', 'dep', 'claim');
  await world.say('session/b', 'dep', 'complete');
  t.like(await world.view('work'), { status: 'claimed', worker: A, blockedOn: null });
  t.like(await world.view('fill'), {
    status: 'available',
    worker: null,
    reason: 'its worker is back at work',
  });
  t.true(world.told(A).includes('session.recalled'));
  const { tasks } = await world.session('a');
  t.deepEqual(
    tasks.map(({ id, blocked }) => [id, blocked]),
    [['work', false]],
  );
});

test('who waits looks again when another took what it was offered, and not for what it took itself', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' }, { id: 'two' });
  const free = ['one', 'two'];
  world.matched = () => {
    const [task] = free.splice(0, 1);
    return task === undefined ? undefined : { task, match: 1, filler: false };
  };
  await world.register('a');
  t.like(await world.session('a'), { status: 'idle', offered: { task: 'one' } });
  await world.say('session/b', 'one', 'claim');
  world.takeAway.get('a one')?.();
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'idle', offered: { task: 'two' } });
  t.is(world.told(A).filter((name) => name === 'session.offered').length, 2);
  const looks = world.sought.length;
  await world.say(A, 'two', 'claim');
  world.takeAway.get('a two')?.();
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'working', offered: null });
  t.is(world.sought.length, looks);
});

test('who loses what it was offered is offered the next in the same step, unless that does not suit it any more', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' }, { id: 'two' }, { id: 'work' }, { id: 'dep' });
  const offer = (task: string, filler = false) => ({ task, match: 1, filler });
  world.matched = ({ declined }) => ((declined as string[]).length > 0 ? undefined : offer('one'));
  await world.register('a', { capabilities: ['x'] });
  t.like(world.followed.at(-1), {
    want: 'taken',
    session: 'a',
    task: 'one',
    next: { capabilities: ['x'], fillersOnly: false, declined: [] },
  });
  world.matched = () => undefined;
  const looks = world.sought.length;
  world.takeAway.get('a one')?.(offer('two'));
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'idle', offered: { task: 'two' } });
  t.is(world.sought.length, looks, 'nobody looked for it');
  t.deepEqual(world.told(A).slice(-1), ['session.offered']);
  t.like(world.followed.at(-1), { task: 'two' });

  // It said no to what comes instead while the driver followed another: then it looks by itself.
  await world.ask(A, A, { type: 'session.decline', task: 'one' });
  world.takeAway.get('a two')?.(offer('one'));
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'idle', offered: null });
  t.like(world.sought.at(-1), { want: 'task', session: 'a', declined: ['one'] });

  // Blocked, it is offered fillers only, whatever the driver was told before.
  world.matched = () => offer('fill', true);
  await world.say(A, 'work', 'claim');
  await world.say(A, 'work', 'block', { on: 'dep' });
  t.like(world.followed.at(-1), { task: 'fill', next: { fillersOnly: true } });
  world.matched = () => undefined;
  world.takeAway.get('a fill')?.(offer('two'));
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'blocked', offered: null });
  t.like(world.sought.at(-1), { fillersOnly: true });
});

test('a session is present for as long as its lease, and comes back to its tasks', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' });
  world.ends.hear(A, 'S1');
  await world.register('a', { lease: 'S1', leaseMs: 5_000, swarm: 's' });
  const token = await world.claim(A, 'one', 4);
  world.ends.hear(A, undefined);
  await world.realm.idle();
  t.is((await world.session('a')).status, 'gone');
  t.is((await world.view('one')).worker, A, 'its claims have leases of their own');
  world.ends.hear(A, 'S2');
  await world.register('a', { lease: 'S2', leaseMs: 5_000 });
  t.like(await world.session('a'), { status: 'working', swarm: 's', tasks: { length: 1 } });
  t.true((await world.say(A, 'one', 'complete', { token, costMicros: 70 })).accepted);
  const swarm = await world.ask('operator/o', 'swarm/s', {
    type: 'swarm.form',
    template: { id: 's', budget: { costMicros: 100 } },
  });
  t.like(swarm, { swarm: { status: 'running', sessions: ['a'], spentMicros: 70 } });
  t.like(await world.ask('session/b', 'session/a', { type: 'session.leave' }), { code: 'not_permitted' });
  t.like(await world.ask('session/b', 'swarm/s', { type: 'swarm.stop' }), { code: 'not_permitted' });
  await world.ask(A, A, { type: 'session.leave' });
  t.is((await world.session('a')).status, 'gone');
  await t.throwsAsync(world.session('nobody'), { code: 'unknown_session' });
});

test('who is gone comes back by its own word only, and no late word of a process before it sends it away', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' });
  await world.register('a', { lease: 'S1', leaseMs: 5_000 });
  await world.register('a', { lease: 'S2', leaseMs: 5_000 });
  await world.ask(A, A, { type: 'session.leave', lease: 'S1' });
  t.is((await world.session('a')).status, 'idle');
  await world.ask(A, A, { type: 'session.leave', lease: 'S2' });
  t.is((await world.session('a')).status, 'gone');
  const looks = world.sought.length;
  // Its claim was on its way.
  await world.claim(A, 'one', 4);
  t.like(await world.session('a'), { status: 'gone', tasks: [{ id: 'one' }] });
  world.ends.hear('task/one', undefined);
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'gone', tasks: [] });
  t.is(world.sought.length, looks, 'nobody is there to do work');
  await world.claim(A, 'one', 5);
  await world.register('a', { lease: 'S3', leaseMs: 5_000 });
  t.is((await world.session('a')).status, 'working');
});

test('who is told what it can do stays where it is: its lease is watched, its offer stands, and nobody comes to life', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' });
  const can = async (...capabilities: string[]) => await world.register('a', { keep: true, capabilities });
  await can('x');
  t.like(await world.session('a'), { status: 'away', capabilities: ['x'] }, 'in one step');
  t.deepEqual(world.sought, []);

  world.ends.hear(A, 'S1');
  await world.register('a', { lease: 'S1', leaseMs: 5_000 });
  await can('y');
  t.like(world.sought.at(-1), { want: 'task', session: 'a', capabilities: ['y'] });
  world.matched = () => ({ task: 'one', match: 1, filler: false });
  await world.ask(A, A, { type: 'session.next' });
  await world.realm.idle();
  await can('z');
  t.like(await world.session('a'), { status: 'idle', capabilities: ['z'], offered: { task: 'one' } });
  t.like(world.followed.at(-1), { task: 'one', next: { capabilities: ['z'] } });

  const looks = world.sought.length;
  world.ends.hear(A, undefined);
  await world.realm.idle();
  t.is((await world.session('a')).status, 'gone', 'its lease was watched on');
  await can('x');
  t.like(await world.session('a'), { status: 'gone', capabilities: ['x'], offered: null });
  t.is(world.sought.length, looks);
});

test('who never registered is there while it has a task, and is offered none; a claim brings back nobody who is away', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' }, { id: 'two' }, { id: 'three' });
  await world.say('session/guest', 'one', 'claim');
  await world.say('session/guest', 'two', 'claim');
  await world.say('session/guest', 'one', 'complete');
  t.like(await world.session('guest'), { status: 'working', completed: 1 });
  await world.say('session/guest', 'two', 'block', { on: 'ann', kind: 'person' });
  t.like(await world.session('guest'), { status: 'blocked' });
  await world.say('session/guest', 'two', 'release');
  t.like(await world.session('guest'), { status: 'away', tasks: [] });
  await world.say('session/guest', 'two', 'claim');
  t.like(await world.session('guest'), { status: 'working' });

  await world.register('a', { keep: true });
  await world.say(A, 'three', 'claim');
  t.like(await world.session('a'), { status: 'away', tasks: [{ id: 'three' }] });
  await world.say(A, 'three', 'transfer', { to: 'session/typo' });
  t.like(await world.session('typo'), { status: 'working' });
  t.like(await world.session('a'), { status: 'away', tasks: [] });
  await world.say('session/typo', 'three', 'release');
  t.like(await world.session('typo'), { status: 'away' });
  t.deepEqual(world.sought, []);

  await world.register('guest');
  await world.say('session/guest', 'two', 'release');
  t.like(await world.session('guest'), { status: 'idle' });
  t.like(world.sought.at(-1), { want: 'task', session: 'guest' });
});

test('who registers into another swarm leaves the one before', async (t) => {
  await using world = await World.open();
  for (const id of ['s', 'r'])
    await world.ask('operator/o', `swarm/${id}`, { type: 'swarm.form', template: { id } });
  const sessionsOf = async (id: string) =>
    await world.ask('operator/o', `swarm/${id}`, { type: 'swarm.get' });
  await world.register('a', { swarm: 's' });
  await world.register('a');
  t.like(await sessionsOf('s'), { swarm: { sessions: ['a'] } }, 'it stays where it says nothing of a swarm');
  await world.register('a', { swarm: 'r' });
  t.like(await sessionsOf('s'), { swarm: { sessions: [] } });
  t.like(await sessionsOf('r'), { swarm: { sessions: ['a'] } });
});

test('a weight rises with results and falls with failures, never to zero; a late bloomer is told', async (t) => {
  const profile = profileSchema.parse({ baseWeight: 0.5, successBonus: 0.4, successThreshold: 75 });
  t.is(nextWeight(profile, 1.9, 0.75), 0.9);
  t.is(nextWeight(profile, 1, 0.74), 0.8);
  t.is(nextWeight(profile, 0.2, undefined), 0.1);
  t.is(nextWeight({ ...profile, baseWeight: 2 }, 1, 1), 2);
  let weights: readonly number[] = [];
  for (const [before, after] of [[0.4, 0.2] as const, ...Array(10).fill([0.8, 0.8] as const)])
    weights = remembered(weights, before, after);
  t.true(isLateBloomer(weights));
  t.false(isLateBloomer(remembered(weights, 0.8, 0.8)), 'eleven results ago is long ago');

  await using world = await World.open();
  await world.register('a', { profile: { baseWeight: 0.3, successBonus: 0.6 } });
  await world.add({ id: 'one' }, { id: 'two' }, { id: 'three' });
  const end = async (id: string, action: string, more = {}): Promise<number> => {
    await world.say(A, id, 'claim');
    await world.say(A, id, action, more);
    return (await world.session('a')).weight;
  };
  t.is(await end('one', 'fail'), 0.1);
  t.is(await end('two', 'complete', { confidence: 0.5 }), 0.1, 'the floor');
  t.is(await end('three', 'complete', { confidence: 0.9 }), 0.9);
  t.true((await world.session('a')).lateBloomer);
  t.true(world.told(A).includes('session.late_bloomer'));
});

test('a round goes to the highest confidence × weight × match, and its manifest says so by itself', async (t) => {
  await using world = await World.open();
  for (const [id, baseWeight, capabilities] of [
    ['a', 1, ['x', 'y']],
    ['b', 2, ['x']],
    ['c', 0, ['x', 'y']],
  ] as const)
    await world.register(id, { profile: { baseWeight }, capabilities });
  await world.ask('operator/o', 'round/r', { type: 'round.open', task: 'one', requires: ['x', 'y'] });
  for (const [id, confidence] of [
    ['a', 0.8],
    ['b', 0.7],
    ['c', 1],
  ] as const)
    await world.ask(`session/${id}`, `session/${id}`, { type: 'session.bid', round: 'r', confidence });
  await world.realm.idle();
  const forged = {
    session: 'a',
    confidence: 1,
    weight: 2,
    profile: profileSchema.parse({}),
    capabilities: [],
  };
  t.like(await world.ask('session/b', 'round/r', { type: 'round.bid', ...forged }), {
    code: 'not_permitted',
  });
  // Not even in its own name: a session's actor knows its weight, who speaks for it names any.
  t.like(await world.ask('session/b', 'round/r', { type: 'round.bid', ...forged, session: 'b' }), {
    code: 'not_permitted',
  });
  await t.throwsAsync(world.ask('session/b', 'round/r', { type: 'within.bid', ...forged, session: 'b' }), {
    code: 'reserved_event',
  });
  t.like(await world.ask('session/b', 'round/r', { type: 'round.decide' }), { code: 'not_permitted' });
  await world.ask('operator/o', 'round/r', { type: 'round.decide' });
  await world.realm.idle();
  const view = (await world.ask(A, 'round/r', { type: 'round.get' })) as RoundView;
  t.like(view, { status: 'decided', manifest: { winner: 'a', task: 'one', decidedAt: NOW } });
  t.deepEqual(view.manifest?.results, [
    { session: 'a', match: 1, score: 0.8 },
    { session: 'b', match: 0.5, score: 0.7 },
    { session: 'c', match: 1, score: 0.1 },
  ]);
  t.is(view.sha256, digestOf(view.manifest));
  t.like(await world.ask('operator/o', 'round/r', { type: 'round.decide' }), { code: 'wrong_state' });
});

test('who is busy keeps no offer: it is another’s at once, and no next one is kept for it', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' }, { id: 'two' });
  world.matched = () => ({ task: 'one', match: 1, filler: false });
  await world.register('a');
  t.like(await world.session('a'), { offered: { task: 'one' } });
  await world.say(A, 'two', 'claim');
  t.like(await world.session('a'), { status: 'working', offered: null });
  world.takeAway.get('a one')?.({ task: 'three', match: 1, filler: false });
  await world.realm.idle();
  t.like(await world.session('a'), { status: 'working', offered: null });
});
