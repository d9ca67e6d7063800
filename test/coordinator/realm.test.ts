import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { openCoordinator } from '#actors/coordinator/client';
import type { CoordinatorClient, CoordinatorOptions, SessionNews, TaskNews } from '#actors/coordinator/types';
import { eventHeaders } from '#runtime/bus/live-event';
import { Subjects } from '#runtime/bus/subjects';
import { askedLeases } from '#runtime/claims/asked-leases';
import type { Client } from '#runtime/client/client';
import { until } from '../rig/load.ts';
import { TestRealm } from '../rig/realm.ts';

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
const LEAVING = fileURLToPath(new URL('./leaving-worker.ts', import.meta.url));
const LEASE_MS = 2_000;
const OPEN = { door: 'open', spawnOnMessage: true };
const KINDS = Object.fromEntries(
  ['board', 'round', 'session', 'swarm', 'task'].map((kind) => [kind, { machine: kind, ...OPEN }]),
);

let realm: TestRealm;
let operator: CoordinatorClient;
test.before(async () => {
  realm = await TestRealm.start({ config: { kinds: KINDS, durability: 'relaxed' } });
  operator = await as('operator/o');
});
test.after.always(async () => {
  await operator?.[Symbol.asyncDispose]();
  await realm?.[Symbol.asyncDispose]();
});

async function as(from: string, options: CoordinatorOptions = {}): Promise<CoordinatorClient> {
  return openCoordinator(await clientOf(from), { leaseMs: LEASE_MS, ...options });
}

async function clientOf(from: string): Promise<Client> {
  return await realm.client({ from });
}

/** The next event of this name of a task. */
function event(task: string, name: TaskNews['event']): Promise<void> {
  return new Promise((resolve) => {
    const unwatch = operator.watch({ task, events: [name] }, () => {
      unwatch();
      resolve();
    });
  });
}

async function won(by: CoordinatorClient, id: string): Promise<number> {
  const result = await by.claim(id);
  if (!result.won) throw new Error(result.reason);
  return result.claim.token;
}

test.serial('a claimant paused past its lease cannot complete the task that another finished', async (t) => {
  await operator.addTasks([{ id: 'z' }]);
  const args = [WORKER, realm.url, realm.token, 'session/zombie', 'z', '1000'];
  const worker = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(worker, 'exit');
  const lines = createInterface({ input: worker.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<unknown> => JSON.parse(String((await lines.next()).value));
  try {
    const first = (await line()) as { token: number };
    const expired = event('z', 'task.expired');
    worker.kill('SIGSTOP');
    await expired;
    const b = await as('session/b');
    t.true((await won(b, 'z')) > first.token);
    t.true((await b.complete('z', { deliverable: 'of b' })).accepted);
    worker.kill('SIGCONT');
    worker.stdin.write('go on\n');
    t.like(await line(), { accepted: false, code: 'not_yours' });
    t.like(await operator.task('z'), { status: 'completed', worker: 'session/b' });
    await exited;
  } finally {
    worker.kill('SIGKILL');
  }
});

test.serial('of many who claim at the same moment one wins, whatever they race for', async (t) => {
  const ids = Array.from({ length: 30 }, (_, n) => `r${n}`);
  await operator.addTasks(ids.map((id) => ({ id })));
  const rivals = await Promise.all(Array.from({ length: 8 }, (_, n) => as(`session/r${n}`)));
  const results = await Promise.all(
    ids.map((id) => Promise.all(rivals.map(async (rival) => (await rival.claim(id)).won))),
  );
  for (const winners of results) t.is(winners.filter(Boolean).length, 1);
  for (const [n, id] of ids.entries()) {
    const winner = results[n]?.indexOf(true) ?? 0;
    t.is((await operator.task(id))?.worker, `session/r${winner}`);
    t.like(await rivals[winner]?.complete(id), { accepted: true, status: 'completed' });
  }
  for (const rival of rivals) await rival[Symbol.asyncDispose]();
});

test.serial(
  'the bucket of leases is lost: who is there keeps its task, and who is gone loses it',
  async (t) => {
    await operator.addTasks([{ id: 'here' }, { id: 'gone' }]);
    const here = await as('session/here');
    const gone = await as('session/gone');
    const token = await won(here, 'here');
    const lost = await won(gone, 'gone');
    await gone[Symbol.asyncDispose]();
    const expired = event('gone', 'task.expired');
    const jsm = await jetstreamManager((await clientOf('operator/o')).connection);
    await jsm.streams.delete('KV_if_leases');
    await expired;
    // Longer than a lease after the loss.
    t.like(await operator.task('here'), { status: 'claimed', worker: 'session/here', token });
    t.like(await here.progress('here', 10), { accepted: true, token });
    t.true(await here.renew('here'));
    const rival = await as('session/rival');
    t.like(await rival.claim('here'), { won: false });
    t.true((await won(rival, 'gone')) > lost, 'the new bucket counts from 1, tokens do not');
    await here[Symbol.asyncDispose]();
    await rival[Symbol.asyncDispose]();
  },
);

test.serial(
  'a session that crashed comes back to its claims; a task is handed on with its lease',
  async (t) => {
    await operator.addTasks([{ id: 'mine' }, { id: 'done' }]);
    const before = await as('session/c', { leaseMs: 10_000 });
    t.deepEqual(await before.registerSession({ capabilities: ['x'] }), []);
    const token = await won(before, 'mine');
    // Its process is gone: nothing renews, nothing is given back.
    await before[Symbol.asyncDispose]();
    const after = await as('session/c', { leaseMs: 10_000 });
    t.deepEqual(await after.registerSession({ capabilities: ['x'] }), ['mine']);
    t.like(await after.progress('mine', 50), { accepted: true, token });
    t.true(await after.heartbeat());

    const taker = await as('session/d');
    const reply = await after.transfer('mine', 'session/d');
    t.true(reply.accepted && reply.token > token);
    t.like(await after.complete('mine'), { accepted: false, code: 'not_yours' });
    t.true((await taker.adopt('mine')).won);
    t.true((await taker.complete('mine')).accepted);
    t.like(await after.session('session/c'), { status: 'idle', tasks: [] });
    await after.closeSession();
    t.is((await operator.session('c'))?.status, 'gone');
    await taker[Symbol.asyncDispose]();
  },
);

test.serial('a process that closes its client ends, whatever it has claimed', async (t) => {
  await operator.addTasks([{ id: 'left', title: 'left' }]);
  const child = spawn(process.execPath, [LEAVING, realm.url, realm.token, 'left'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  t.is(code, 0);
  t.is(said, 'true');
});

test.serial('a claim whose end was not answered is renewed for nobody', async (t) => {
  await operator.addTasks([{ id: 'given' }, { id: 'unsaid' }, { id: 'ended' }]);
  const client = await clientOf('session/giver');
  let isCut = false;
  /** What it asks is done, and the answers to some are lost. */
  const ask: Client['ask'] = async (to, said, ...options) => {
    const answer = await client.ask(to, said, ...options);
    const { type } = said as { type?: string };
    if (isCut || type === 'task.transfer' || type === 'task.complete') throw new Error('the answer was lost');
    return answer;
  };
  const lossy = new Proxy(client, {
    get: (of, name) => {
      const member: unknown = name === 'ask' ? ask : Reflect.get(of, name);
      return typeof member === 'function' ? member.bind(of) : member;
    },
  });
  const giver = openCoordinator(lossy, { leaseMs: LEASE_MS });
  const taker = await as('session/taker');
  for (const id of ['given', 'unsaid']) await won(giver, id);
  await t.throwsAsync(giver.transfer('given', 'session/taker'), { message: /lost/ });
  t.true((await taker.adopt('given')).won, 'the lease is handed on');
  t.true((await taker.complete('given')).accepted);

  const claim = await giver.claim('ended');
  await t.throwsAsync(giver.complete('ended'), { message: /lost/ });
  t.is(claim.won && (await claim.claim.lost), 'it is completed');
  t.false(await giver.renew('ended'));

  const free = event('unsaid', 'task.available');
  isCut = true;
  await t.throwsAsync(giver.transfer('unsaid', 'session/taker'), { message: /lost/ });
  await free;
  await giver[Symbol.asyncDispose]();
  await taker[Symbol.asyncDispose]();
});

test.serial('a claim that another ended is let go of, and its own end is no loss', async (t) => {
  await operator.addTasks([{ id: 'own' }, { id: 'over', gate: {} }]);
  const worker = await as('session/w');
  const own = await worker.claim('own');
  const over = await worker.claim('over');
  const lost: string[] = [];
  for (const result of [own, over])
    if (result.won) void result.claim.lost.then((why) => lost.push(`${result.claim.task} ${why}`));
  t.like(await worker.complete('over'), { code: 'gate_failed' });
  t.true((await worker.complete('own')).accepted);
  t.true((await operator.override('over', 'the rest is seen to')).accepted);
  await until(async () => lost.length > 0, 'the end of its claim');
  t.false(await worker.renew('over'));
  t.deepEqual(lost, ['over completed']);
  await worker[Symbol.asyncDispose]();
});

test.serial(
  'who has just said that it is blocked is shown fillers, and work again once it is not',
  async (t) => {
    const worker = await as('session/stuck');
    await worker.registerSession({ capabilities: ['glue:skill'] });
    await operator.addTasks([
      ...['stuck-1', 'stuck-2'].map((id) => ({ id, requires: ['glue:skill'], owner: 'stuck' })),
      { id: 'stuck-filler', filler: true, owner: 'stuck' },
    ]);
    const first = async (): Promise<string | undefined> => (await worker.nextFor())[0]?.task.id;
    await until(async () => (await first()) === 'stuck-1');
    await won(worker, 'stuck-1');
    await until(async () => (await first()) === 'stuck-2');
    for (let round = 0; round < 20; round += 1) {
      t.true((await worker.block('stuck-1', 'ops', 'person')).accepted);
      t.is(await first(), 'stuck-filler');
      t.true((await worker.unblock('stuck-1')).accepted);
      t.is(await first(), 'stuck-2');
    }
    await worker[Symbol.asyncDispose]();
  },
);

test.serial('idle sessions are offered work by the realm itself, and by push', async (t) => {
  const idle = await as('session/idle');
  const offered = Promise.withResolvers<unknown>();
  idle.watch({ session: 'idle' }, (news) => {
    if (news.kind === 'session' && news.event === 'session.offered') offered.resolve(news.details);
  });
  await idle.registerSession({ capabilities: ['rare:skill'] });
  await operator.addTasks([{ id: 'rare', requires: ['rare:skill'], owner: 'idle' }]);
  t.like(await offered.promise, { task: 'rare', match: 1, filler: false });
  t.is((await idle.nextFor())[0]?.task.id, 'rare');
  t.deepEqual((await operator.why('rare'))?.reasons, [
    'It is free, and meant for session/idle, which is idle.',
  ]);
  // A cry for help reaches who can.
  await operator.addTasks([{ id: 'hard', requires: ['rare:skill'] }]);
  const worker = await as('session/worker');
  await won(worker, 'hard');
  const asked = Promise.withResolvers<unknown>();
  idle.watch({ session: 'idle' }, (news) => {
    if (news.event === 'session.help_wanted') asked.resolve(news.kind === 'session' && news.details['task']);
  });
  t.true((await worker.askHelp('hard', 'stuck')).accepted);
  t.is(await asked.promise, 'hard');
  t.true((await idle.join('hard')).accepted);
  await idle[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
});

test.serial('who lost what it was offered to another is offered the next by push', async (t) => {
  const loser = await as('session/loser');
  const offers: ((task: unknown) => void)[] = [];
  const next = (): Promise<unknown> => new Promise((resolve) => offers.push(resolve));
  loser.watch({ session: 'loser', events: ['session.offered'] }, (news) => {
    if (news.kind === 'session') offers.shift()?.(news.details['task']);
  });
  let offer = next();
  await loser.registerSession({ capabilities: ['lost:skill'] });
  await operator.addTasks([{ id: 'lost1', requires: ['lost:skill'] }]);
  t.is(await offer, 'lost1');
  const winner = await as('session/winner');
  offer = next();
  await won(winner, 'lost1');
  await operator.addTasks([{ id: 'lost2', requires: ['lost:skill'] }]);
  t.is(await offer, 'lost2');
  await won(loser, 'lost2');
  await loser[Symbol.asyncDispose]();
  await winner[Symbol.asyncDispose]();
});

test.serial('who watches hears of what it named alone, of all tasks or one', async (t) => {
  const heard: string[] = [];
  const hear = (who: string) => (news: TaskNews | SessionNews) => {
    // What other tests left behind may run out just now.
    if (news.kind === 'task' && !['seen', 'other'].includes(news.task.id)) return;
    heard.push(`${who} ${news.event} ${news.kind === 'task' ? news.task.id : news.session.id}`);
  };
  const worker = await as('session/watched');
  const closers = [
    operator.watch({ events: ['task.available', 'session.changed'] }, hear('all')),
    operator.watch({ task: 'seen', session: 'watched', events: ['task.completed'] }, hear('one')),
    operator.watch({ task: 'other' }, hear('other')),
  ];
  await operator.addTasks([{ id: 'seen' }]);
  await won(worker, 'seen');
  t.true((await worker.complete('seen')).accepted);
  const last = event('other', 'task.available');
  await operator.addTasks([{ id: 'other' }]);
  await last;
  for (const close of closers) close();
  t.deepEqual(heard, [
    'all task.available seen',
    'one task.completed seen',
    'other task.added other',
    'all task.available other',
    'other task.available other',
  ]);
  t.throws(() => operator.watch({ task: 'no id' }, hear('nobody')), { code: 'bad_pattern' });
  await worker[Symbol.asyncDispose]();
});

test.serial('what is no event at the subject of one deafens neither node nor watcher', async (t) => {
  const watcher = await clientOf('session/watcher');
  await using coordinator = openCoordinator(watcher, { leaseMs: LEASE_MS });
  const heard: string[] = [];
  const stop = coordinator.watch({ task: '*', session: '*' }, ({ event }) => void heard.push(event));
  const all = watcher.watch('*/*');
  let told = all.next();
  await watcher.connection.flush();
  const { connection: nc } = await clientOf('operator/careless');
  const view = { id: 'junk', status: 'available', changedAt: 1 };
  for (const type of ['task', 'session', 'worker', 'registry']) {
    const subject = `if.ev.${type}.junk.${type}.junk`;
    nc.publish(subject, 'hello');
    for (const text of [
      'hello',
      'null',
      '"a"',
      '[]',
      '{}',
      JSON.stringify({ type: `${type}.junk`, [type]: view }),
    ])
      nc.publish(subject, text, { headers: eventHeaders() });
  }
  await nc.flush();
  // Sessions of the tests before may still be told of.
  while ((await told).value?.body !== null) told = all.next();
  await operator.addTasks([{ id: 'after-junk', requires: ['junk:none'] }]);
  t.is((await coordinator.task('after-junk'))?.status, 'available');
  // The node still finds work: what it heard is no task.
  t.deepEqual(await coordinator.registerSession({ capabilities: ['junk:none'] }), []);
  await until(async () => (await coordinator.session('watcher'))?.offered?.task === 'after-junk');
  await until(async () => heard.includes('session.offered'));
  t.false(heard.some((name) => name.endsWith('.junk')));
  stop();
  await all.return();
  await coordinator.closeSession();
});

test.serial('who may not write to buckets has a node write its leases, in its own name only', async (t) => {
  await operator.addTasks([{ id: 'asked' }]);
  const worker = await as('session/w', { leases: 'node' });
  const token = await won(worker, 'asked');
  t.true(await worker.renew('asked'));
  const client = await clientOf('session/thief');
  const subjects = new Subjects('if', 1);
  const thief = askedLeases(client.connection, (address) => subjects.lease(address), 'session/thief');
  const row = await thief.get('task/asked');
  t.true((row?.revision ?? 0) >= token);
  const value = JSON.stringify({ holder: 'session/w', nonce: 'n' });
  const notYours = { code: 'lease_not_yours' };
  await t.throwsAsync(thief.remove('task/asked', row?.revision ?? 0), notYours);
  await t.throwsAsync(thief.update('task/asked', value, row?.revision ?? 0, 1_000), notYours);
  await t.throwsAsync(thief.create('task/other', value, 1_000), notYours);
  await t.throwsAsync(thief.create('task/other', 'no json', 1_000), { code: 'lease_bad_request' });
  await t.throwsAsync(thief.create('task/other', value, 10), { code: 'lease_bad_request' });
  t.true((await worker.complete('asked')).accepted);
  t.is(await thief.get('task/asked'), undefined);
  await worker[Symbol.asyncDispose]();
});

test.serial('a key that an earlier holder left behind, or that another put there, bars nobody', async (t) => {
  await operator.addTasks([{ id: 'hung' }, { id: 'free' }, { id: 'plain' }]);
  const leaseMs = 600_000;
  const subjects = new Subjects('if', 1);
  const keysOf = async (holder: string) =>
    askedLeases((await clientOf(holder)).connection, (address) => subjects.lease(address), holder);
  const hung = await as('session/hung', { leases: 'node', leaseMs });
  await won(hung, 'hung');
  // Its key is written by then; nothing renews it any more.
  t.true(await hung.renew('hung'));
  await hung[Symbol.asyncDispose]();
  t.true((await operator.release('hung', 'it hangs')).accepted);

  const keys = await keysOf('session/squatter');
  const value = JSON.stringify({ holder: 'session/squatter', nonce: 'n' });
  const notYours = { code: 'lease_not_yours' };
  for (const actor of ['task/free', 'task/hung', 'task/nobody-added-it', 'session/next'])
    await t.throwsAsync(keys.create(actor, value, leaseMs), notYours, actor);

  const next = await as('session/next', { leases: 'node', leaseMs });
  await next.registerSession();
  t.true(await next.heartbeat());
  for (const id of ['hung', 'free']) {
    await won(next, id);
    t.true(await next.renew(id), 'it has the key');
    await t.throwsAsync(keys.create(`task/${id}`, value, leaseMs), notYours);
    t.like(await next.progress(id, 10), { accepted: true });
  }
  // A worker that knows only requests writes over what stands by the one with which it begins.
  const jsm = await jetstreamManager((await clientOf('operator/o')).connection);
  await jsm.jetstream().publish(`$KV.if_leases.${subjects.leaseKey('task/plain')}`, value);
  const plain = await clientOf('session/plain');
  await plain.ask('task/plain', { type: 'task.claim', lease: 'p', leaseMs });
  const own = JSON.stringify({ holder: 'session/plain', nonce: 'p' });
  const plainKeys = await keysOf('session/plain');
  t.truthy(await plainKeys.create('task/plain', own, leaseMs));
  t.is((await plainKeys.get('task/plain'))?.value, own);
  await next[Symbol.asyncDispose]();
});
