import { setTimeout as pause } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { RequestError, TimeoutError } from '@nats-io/nats-core';
import test from 'ava';
import { raiseReplicas, stepDown } from '#runtime/bus/cluster-admin';
import { type Copies, type Follower, readCopies, realmStreams, serversOfCopies } from '#runtime/bus/copies';
import { hostsOf, serversOf, splitToken, withToken } from '#runtime/bus/servers';
import { ensureStreams, type StreamOptions } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import type { FabricError } from '#schemas/fabric-error';
import { CliFolder } from '../rig/cli.ts';
import { startCluster } from '../rig/cluster.ts';
import { silentLogger, TestServer } from '../rig/nats.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';

const ASKERS = 8;
const COUNTERS = { kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } } };
const MIB = 1024 * 1024;
const OPTIONS: StreamOptions = {
  replicas: 'auto',
  inboxBytesMax: 64 * MIB,
  deadBytesMax: MIB,
  logBytesMax: -1,
};

test('several servers are one address, and their token is never shown', (t) => {
  const text = 'nats://se%20cret@a:1, nats://se%20cret@b:2,c:3';
  t.deepEqual(serversOf(text), ['nats://se%20cret@a:1', 'nats://se%20cret@b:2', 'c:3']);
  t.deepEqual(splitToken(text), { url: 'nats://a:1,nats://b:2,c:3', token: 'se cret' });
  t.is(hostsOf(text), 'a:1, b:2, c:3');
  t.is(withToken('nats://a:1,b:2', 'se cret'), 'nats://se%20cret@a:1,nats://se%20cret@b:2');
  t.deepEqual(splitToken('nats://user:pass@a:1'), { url: 'nats://user:pass@a:1' });
});

test('what the loss of a server costs is told from who has what', (t) => {
  const follower = (server: string, isCurrent: boolean, isOffline = false) => ({
    server,
    isCurrent,
    isOffline,
    lag: isCurrent ? 0 : 7,
  });
  const costs = (replicas: number, ...followers: Follower[]): Record<string, string> => {
    const streams = [{ stream: 'A', replicas, leader: 's1', followers }];
    return Object.fromEntries(
      serversOfCopies({ cluster: 'c', server: 's1', streams }).map(({ server, wouldLose, wouldStop }) => [
        server,
        `${wouldLose.length > 0 ? 'loses' : 'keeps'}, ${wouldStop.length > 0 ? 'stops' : 'goes on'}`,
      ]),
    );
  };
  const all = (text: string) => ({ s1: text, s2: text, s3: text });
  t.deepEqual(costs(1), { s1: 'loses, stops' });
  t.deepEqual(costs(3, follower('s2', true), follower('s3', true)), all('keeps, goes on'));
  t.deepEqual(
    costs(3, follower('s2', false), follower('s3', false)),
    all('keeps, goes on'),
    'one of them has it',
  );
  t.deepEqual(costs(3, follower('s2', true), follower('s3', false, true)), {
    s1: 'keeps, stops',
    s2: 'keeps, stops',
    s3: 'keeps, goes on',
  });
  t.is(
    costs(3, follower('s2', false), follower('s3', false, true))['s1'],
    'loses, stops',
    's2 may lack some',
  );
});

test('a realm on a single server has one copy, and says so where three were asked for', async (t) => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const subjects = new Subjects('if', 1);
  const error = await t.throwsAsync(ensureStreams(nc, subjects, { ...OPTIONS, replicas: 3 }));
  t.is((error as FabricError).code, 'replicas_refused');
  t.is(await ensureStreams(nc, subjects, OPTIONS), 1);
});

test.skipIf(isEveryday)(
  'in a cluster of three, all that a realm keeps has three copies from the first start',
  async (t) => {
    await using cluster = await startCluster();
    const nc = await cluster.connect();
    const subjects = new Subjects('if', 1);
    t.is(await ensureStreams(nc, subjects, OPTIONS), 3);
    const jsm = await jetstreamManager(nc);
    const copies: Record<string, number> = {};
    for await (const { config } of jsm.streams.list()) copies[config.name] = config.num_replicas;
    t.deepEqual(
      Object.keys(copies).sort(),
      [...realmStreams(subjects)].sort(),
      'commands look at all of them',
    );
    t.deepEqual([...new Set(Object.values(copies))], [3], JSON.stringify(copies));
  },
);

test.skipIf(isEveryday)(
  'a realm with one copy gets three while it takes messages, keeps them at every start, and leaders step down',
  async (t) => {
    await using cluster = await startCluster();
    const nc = await cluster.connect();
    const subjects = new Subjects('if', 1);
    const warned: unknown[] = [];
    const logger = {
      ...silentLogger,
      warn: (fields: object, event: string) => warned.push({ event, ...fields }),
    };
    t.is(await ensureStreams(nc, subjects, { ...OPTIONS, replicas: 1 }), 1);
    t.is(await ensureStreams(nc, subjects, { ...OPTIONS, logger }), 1, 'a start changes nothing');
    t.deepEqual(warned, [{ event: 'replicas_fewer', replicas: 1, wanted: 3 }]);

    const js = jetstream(nc);
    const before = serversOfCopies(await readCopies(nc, subjects));
    t.true(before.some(({ wouldLose }) => wouldLose.includes('IF_LOG')));
    await js.publish('if.log.0', 'before');
    const raised = raiseReplicas(nc, subjects, 3, { timeoutMs: 120_000 });
    // A publish in the moment of the change may go unanswered; under its id it is stored once.
    for (let n = 0; n < 50; n += 1)
      await stored(() => js.publish('if.log.0', `${n}`, { msgID: `m${n}`, timeout: 500 }));
    t.is((await raised).length, realmStreams(subjects).length);
    const jsm = await jetstreamManager(nc);
    t.is((await jsm.streams.info('IF_LOG')).state.messages, 51);
    t.deepEqual(await raiseReplicas(nc, subjects, 3, { timeoutMs: 120_000 }), []);
    t.is(await ensureStreams(nc, subjects, { ...OPTIONS, replicas: 1 }), 3, 'none is taken away');

    const copies = await readCopies(nc, subjects);
    t.true(
      serversOfCopies(copies).every(({ wouldLose, wouldStop }) => wouldLose.length + wouldStop.length === 0),
    );
    const leader = leaderOf(copies, 'IF_LOG');
    const { moved, stay } = await stepDown(nc, subjects, leader);
    t.true(moved.includes('IF_LOG'));
    t.deepEqual(stay, []);
    t.not(leaderOf(await readCopies(nc, subjects), 'IF_LOG'), leader);
    const unknown = await t.throwsAsync(stepDown(nc, subjects, 'nobody'));
    t.is((unknown as FabricError).code, 'bus_server_unknown');
  },
);

test.skipIf(isEveryday)(
  'kill -9 of the server that leads the log loses no acknowledged ask, counts none twice, and doctor sees it',
  async (t) => {
    await using cluster = await startCluster();
    const server = { url: cluster.urls.join(','), token: cluster.token };
    await using realm = await TestRealm.start({ server, config: COUNTERS });
    const client = await realm.client();
    const nc = await cluster.connect();
    await cluster.healthy(nc);
    t.like(await doctor(realm), { copies: { state: 'ok' }, durability: { state: 'ok' } });

    let isOver = false;
    let [asked, answered, longestMs] = [0, 0, 0];
    const ask = async (n: number): Promise<void> => {
      while (!isOver) {
        asked += 1;
        const startedAt = performance.now();
        await client.ask(`counter/k${n}`, { type: 'add', by: 1 }, { timeoutMs: 30_000 });
        longestMs = Math.max(longestMs, performance.now() - startedAt);
        answered += 1;
      }
    };
    const asking = Promise.all(Array.from({ length: ASKERS }, (_, n) => ask(n)));
    const atLeast = async (count: number): Promise<void> => {
      while (answered < count) await Promise.race([pause(10), asking]);
    };
    await atLeast(200);
    const leader = leaderOf(await readCopies(nc, new Subjects('if', 1)), 'IF_LOG');
    const victim = cluster.indexOf(leader);
    await cluster.kill(victim);
    const atKill = answered;
    await atLeast(atKill + 200 + ASKERS);
    isOver = true;
    await asking;
    t.is(answered, asked);
    t.log(`the longest of ${asked} asks took ${Math.round(longestMs)} ms`);

    let total = 0;
    for (let n = 0; n < ASKERS; n += 1) {
      const { reply } = await client.ask(`counter/k${n}`, { type: 'get' });
      total += (reply as { n: number }).n;
    }
    t.is(total, answered, 'each acknowledged ask counts once');

    while (!(await readCopies(nc, new Subjects('if', 1))).streams.every((s) => s.leader !== undefined));
    let seen = await doctor(realm);
    // On a slow machine another stream's leader goes meanwhile, and doctor hears nothing of copies: then it says that.
    while (seen['copies'] === undefined) seen = await doctor(realm);
    t.is(seen['copies'].state, 'warn');
    t.regex(seen['copies'].seen, new RegExp(`${leader} (behind or )?away: nothing is lost`));
    await cluster.restart(victim);
    await cluster.healthy(nc);
    t.is((await doctor(realm))['copies']?.state, 'ok');
  },
);

async function stored(publish: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await publish();
      return;
    } catch (error) {
      if (!(error instanceof TimeoutError) && !(error instanceof RequestError)) throw error;
    }
  }
}

interface Seen {
  readonly name: string;
  readonly state: string;
  readonly seen: string;
}

async function doctor(realm: TestRealm): Promise<Record<string, Seen>> {
  await using folder = new CliFolder();
  const { out } = await folder.run(['doctor', '--json', '--data', realm.dataDir]);
  const checks = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Seen);
  return Object.fromEntries(checks.map((check) => [check.name, check]));
}

function leaderOf({ streams }: Copies, name: string): string {
  const leader = streams.find(({ stream }) => stream === name)?.leader;
  if (leader === undefined) throw new Error(`${name} has no leader`);
  return leader;
}
