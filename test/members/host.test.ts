/** Ownership in memory time: what seats and hosts promise, through joins, drains, stops and crashes at any moment. */
import test from 'ava';
import fc from 'fast-check';
import { ranking } from '#runtime/members/placement';
import { cases } from '../rig/effort.ts';
import { silentLogger } from '../rig/nats.ts';
import { Cluster, LEASE_TTL_MS, STAY_MS, type Told } from './cluster.ts';

const SHARDS = 6;
/** Asks are made in every millisecond of so many after each step. */
const BUSY_MS = 30;
const ADDRESSES = Array.from({ length: 12 }, (_, n) => `counter/k${n}`);

/** Moves the clock until every shard is where it should be; undefined where it does not come to that. */
async function settled(cluster: Cluster, withinMs: number): Promise<boolean> {
  for (let ms = 0; ms <= withinMs; ms += 100) {
    const alive = [...cluster.nodes.values()].filter(({ isAlive }) => isAlive);
    const [first] = alive;
    if (first === undefined) return true;
    const rows = alive.map(({ roster }) => roster.self);
    const wanted = Array.from(
      { length: SHARDS },
      (_, shard) => ranking(rows, shard, first.roster.needs(shard))[0]?.name,
    );
    if (cluster.owners().every((owner, shard) => owner === wanted[shard])) return true;
    await cluster.clock.advance(100);
  }
  return false;
}

test('S2, S3: no ask fails through joins, drains, undrains and stops, whichever door gets it, and each counts once', async (t) => {
  const step = fc.record({
    what: fc.constantFrom('join', 'stop', 'drain', 'undrain'),
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    waitMs: fc.integer({ min: 0, max: 1_500 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      async (steps, picks) => {
        const cluster = new Cluster(SHARDS);
        cluster.pick = (count) => (picks.next().value ?? 0) % count;
        await cluster.start('home', { capacity: 0.5 });
        await cluster.clock.advance(1_000);
        const asked = new Map<string, Promise<Told>[]>();
        const askAll = (): void => {
          for (const at of ADDRESSES) asked.set(at, [...(asked.get(at) ?? []), cluster.ask(at)]);
        };
        for (const { what, name, waitMs } of steps) {
          const node = cluster.nodes.get(name);
          const isThere = node?.isAlive === true;
          if (what === 'join' && !isThere) await cluster.start(name);
          else if (node !== undefined && isThere) {
            if (what === 'stop') void node.stop();
            else if (what !== 'join') void node.roster.drain(what === 'drain');
          }
          // A move is a matter of milliseconds.
          for (let ms = 0; ms < BUSY_MS; ms++) {
            askAll();
            await cluster.clock.advance(1);
          }
          await cluster.clock.advance(waitMs);
        }
        await cluster.clock.advance(60_000);
        for (const [at, list] of asked) {
          const told = await Promise.all(list);
          const failed = told.filter(({ ok }) => !ok);
          if (failed.length > 0) throw new Error(`${at}: ${JSON.stringify(failed[0])}`);
          const counts = told.map((one) => (one.ok ? one.n : 0)).toSorted((a, b) => a - b);
          if (counts.some((n, index) => n !== index + 1)) throw new Error(`${at} counted ${counts}`);
        }
        return await settled(cluster, 30_000);
      },
    ),
    { numRuns: cases(15, 5) },
  );
  t.pass();
});

test('through crashes at any moment an acknowledged ask counts once, no epoch goes back, and every shard finds its owner', async (t) => {
  const step = fc.record({
    what: fc.constantFrom('start', 'start', 'kill', 'stop', 'drain', 'undrain'),
    name: fc.constantFrom('a', 'b', 'c'),
    waitMs: fc.integer({ min: 0, max: 4_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
      const cluster = new Cluster(SHARDS);
      const asked = new Map<string, Promise<Told>[]>();
      for (const { what, name, waitMs } of steps) {
        const node = cluster.nodes.get(name);
        const isThere = node?.isAlive === true;
        if (what === 'start' && !isThere) await cluster.start(name);
        else if (node !== undefined && isThere) {
          if (what === 'kill') node.kill();
          else if (what === 'stop') void node.stop();
          else if (what !== 'start') void node.roster.drain(what === 'drain');
        }
        for (let ms = 0; ms < waitMs; ms += 40) {
          for (const at of ADDRESSES) asked.set(at, [...(asked.get(at) ?? []), cluster.ask(at)]);
          await cluster.clock.advance(40);
        }
      }
      await cluster.start('last');
      const found = await settled(cluster, 400_000);
      const told = await Promise.all(
        [...asked].map(async ([at, list]) => {
          const waiting = Promise.all(list);
          await cluster.clock.advance(31_000);
          return [at, await waiting] as const;
        }),
      );
      for (const [at, list] of told) {
        const acknowledged = list.flatMap((one) => (one.ok ? [one.n] : []));
        if (new Set(acknowledged).size !== acknowledged.length) throw new Error(`${at} told a count twice`);
        const last = cluster.ask(at);
        await cluster.clock.advance(1_000);
        const end = await last;
        const highest = Math.max(0, ...acknowledged);
        if (!end.ok || end.n <= highest || end.n > list.length + 1) {
          throw new Error(`${at} ends with ${JSON.stringify(end)} after ${highest} of ${list.length}`);
        }
      }
      for (let shard = 0; shard < SHARDS; shard++) {
        const epochs = cluster.epochs(shard);
        if (epochs.some((epoch, n) => n > 0 && epoch < (epochs[n - 1] ?? 0)))
          throw new Error(`shard ${shard}: ${epochs}`);
      }
      return found;
    }),
    { numRuns: cases(15, 5) },
  );
  t.pass();
});

test('S1: a wanted node that does not take a free shard keeps nobody waiting for longer than a lease', async (t) => {
  const cluster = new Cluster(SHARDS);
  // It is there and wanted for all, but nothing of it ever reaches a lease.
  const { leases } = cluster;
  void cluster.members.put(
    'member.ghost',
    JSON.stringify({
      id: 'ghost',
      name: 'ghost',
      version: '1',
      state: 'up',
      capacity: 1_000,
      labels: {},
      machines: ['tally@1'],
      kinds: {},
      startedAt: 1,
      shards: {},
      failed: {},
    }),
  );
  await cluster.clock.advance(10);
  await cluster.start('real');
  t.deepEqual(new Set(cluster.owners()), new Set([undefined]));
  await cluster.clock.advance(LEASE_TTL_MS + 100);
  t.deepEqual(new Set(cluster.owners()), new Set(['real']));
  t.truthy(await leases.get('shard.0'));
});

test('S4: shards that moved because of a crash come back after the stay, and at once when their new owner goes', async (t) => {
  const cluster = new Cluster(SHARDS);
  await cluster.start('a');
  await cluster.start('b', { capacity: 1_000 });
  await cluster.clock.advance(2_000);
  t.deepEqual(new Set(cluster.owners()), new Set(['b']));
  cluster.nodes.get('b')?.kill();
  await cluster.clock.advance(LEASE_TTL_MS + 1_000);
  t.deepEqual(new Set(cluster.owners()), new Set(['a']), 'within three seconds');
  await cluster.start('b', { capacity: 1_000 });
  await cluster.clock.advance(STAY_MS / 2);
  t.deepEqual(new Set(cluster.owners()), new Set(['a']));
  await cluster.clock.advance(STAY_MS / 2);
  t.deepEqual(new Set(cluster.owners()), new Set(['b']));
  const stopping = cluster.nodes.get('b')?.stop();
  await cluster.clock.advance(1_000);
  await stopping;
  t.deepEqual(new Set(cluster.owners()), new Set(['a']));
});

test('S1, M4: an outage of the bus that ends every lease and every row moves nothing and recovers nothing', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 500, max: 20_000 }),
      fc.integer({ min: 0, max: 700 }),
      async (outageMs, phaseMs) => {
        const cluster = new Cluster(SHARDS);
        for (const name of ['a', 'b', 'c']) {
          await cluster.start(name);
          await cluster.clock.advance(phaseMs);
        }
        await cluster.clock.advance(STAY_MS * 2);
        const before = cluster.owners();
        const epochs = before.map((_, shard) => cluster.epochs(shard).at(-1));
        cluster.isAway = true;
        await cluster.clock.advance(outageMs);
        cluster.isAway = false;
        await cluster.clock.advance(STAY_MS * 2);
        t.deepEqual(cluster.owners(), before);
        t.deepEqual(
          before.map((_, shard) => cluster.epochs(shard).at(-1)),
          epochs,
        );
        // And it is no excuse for a node that is really gone.
        cluster.nodes.get('a')?.kill();
        await cluster.clock.advance(LEASE_TTL_MS + 1_000);
        t.false(cluster.owners().includes(undefined));
      },
    ),
    { numRuns: cases(30, 10) },
  );
});

test('a node that is stopped, and cut off from the bus meanwhile, waits no longer for others to take its shards', async (t) => {
  const cluster = new Cluster(SHARDS);
  await cluster.start('a');
  await cluster.start('b');
  await cluster.clock.advance(STAY_MS * 2);
  t.true(cluster.owners().includes('b'));
  cluster.isMute = true;
  cluster.nodes.get('a')?.freeze();
  let isStopped = false;
  const stopping = cluster.nodes.get('b')?.host.stop();
  void stopping?.then(() => {
    isStopped = true;
  });
  await cluster.clock.advance(100);
  cluster.isAway = true;
  await cluster.clock.advance(LEASE_TTL_MS * 3);
  t.true(isStopped);
});

test('a node that crashes again and again gets no shards back at once, each time later', async (t) => {
  const cluster = new Cluster(SHARDS);
  await cluster.start('a');
  const states: (string | undefined)[] = [];
  for (let life = 0; life < 4; life++) {
    const node = await cluster.start('b', { capacity: 1_000 });
    states.push(node.roster.self.state);
    if (life < 3) {
      await cluster.clock.advance(100);
      node.kill();
    }
  }
  t.deepEqual(states, ['up', 'up', 'waiting', 'waiting']);
  await cluster.clock.advance(9_000);
  t.deepEqual(new Set(cluster.owners()), new Set(['a']));
  await cluster.clock.advance(3_000);
  t.deepEqual(new Set(cluster.owners()), new Set(['b']));
});

test('S3: where the old owner hangs in the middle of a move, its door takes nothing any more once its row has ended', async (t) => {
  for (let ms = 0; ms < 12; ms++) {
    const cluster = new Cluster(SHARDS);
    let turn = 0;
    cluster.pick = (count) => turn++ % count;
    const old = await cluster.start('old');
    const starting = cluster.start('next', { capacity: 1_000 });
    // At another moment of the moves each time.
    await cluster.clock.advance(ms);
    old.freeze();
    await cluster.clock.advance(10);
    await starting;
    await cluster.clock.advance(2 * LEASE_TTL_MS + 1_000);
    t.deepEqual(new Set(cluster.owners()), new Set(['next']), `frozen after ${ms} ms`);
    const told = ADDRESSES.flatMap((at) => [cluster.ask(at), cluster.ask(at)]);
    await cluster.clock.advance(31_000);
    t.deepEqual(
      (await Promise.all(told)).filter(({ ok }) => !ok),
      [],
      `frozen after ${ms} ms`,
    );
  }
});

/** A shard whose old owner hung in the middle of its move is given away again before the row of that one has ended. */
async function movedOn(freshenMs: number): Promise<{ asked: number; told: Told[] }> {
  const cluster = new Cluster(1);
  let writes = 0;
  cluster.bus.delayMs = ({ kind }) => (kind === 'blob' && ++writes === 1 ? freshenMs : 2);
  // Of the doors of a group the one that opened last, which is not that of the node that hangs.
  cluster.pick = (count) => count - 1;
  const old = await cluster.start('old');
  const starting = cluster.start('next', { capacity: 1_000 });
  while (cluster.doors.length < 2) await cluster.clock.advance(1);
  old.freeze();
  await cluster.clock.advance(10);
  const next = await starting;
  // Enough for a snapshot before the move.
  let asked = 1_100;
  for (let n = 0; n < asked; n++) void cluster.ask('counter/k1');
  await cluster.clock.advance(500);
  await cluster.start('third', { capacity: 1_000 });
  void next.roster.drain(true);
  for (let ms = 0; ms < 4_000; ms++) {
    asked += 1;
    void cluster.ask('counter/k1');
    await cluster.clock.advance(1);
  }
  if (cluster.owners()[0] !== 'third') throw new Error('it was not moved on');
  const told = [cluster.ask('counter/k1')];
  await cluster.clock.advance(10);
  cluster.pick = () => 0;
  told.push(cluster.ask('counter/k1'));
  await cluster.clock.advance(31_000);
  return { asked, told: await Promise.all(told) };
}

test('S3: a shard that is given away again while its old owner hangs is heard by one owner only, and by that one always', async (t) => {
  // The row ends after the move, while the shard yields, and before.
  for (const freshenMs of [2, 1_464, 1_700]) {
    const { asked, told } = await movedOn(freshenMs);
    t.deepEqual(
      told,
      [
        { ok: true, n: asked + 1 },
        { ok: true, n: asked + 2 },
      ],
      `a snapshot took ${freshenMs} ms`,
    );
  }
});

test('before a move a long log is cut short by a snapshot; one that cannot be made holds nothing up', async (t) => {
  for (const [fate, foldedMax] of [
    ['ok', 20],
    ['refused', Number.POSITIVE_INFINITY],
  ] as const) {
    const cluster = new Cluster(1);
    await cluster.start('old');
    const told: Promise<Told>[] = [];
    for (let n = 0; n < 1_200; n++) {
      told.push(cluster.ask('counter/k1'));
      await cluster.clock.advance(3);
    }
    cluster.bus.fate = ({ kind }) => (kind === 'blob' ? fate : 'ok');
    const folded: number[] = [];
    const info = (fields: object, event: string): void => {
      if (event === 'shard_recovered') folded.push((fields as { commits: number }).commits);
    };
    await cluster.start('next', { capacity: 1_000, logger: { ...silentLogger, info } });
    for (let n = 0; n < 100; n++) {
      told.push(cluster.ask('counter/k1'));
      await cluster.clock.advance(3);
    }
    await cluster.clock.advance(5_000);
    t.deepEqual(cluster.owners(), ['next']);
    t.true((folded[0] ?? 0) <= foldedMax, `${fate}: ${folded[0]} commits were folded`);
    const counts = (await Promise.all(told)).map((one) => (one.ok ? one.n : 0)).toSorted((a, b) => a - b);
    t.deepEqual(
      counts,
      Array.from({ length: 1_300 }, (_, n) => n + 1),
    );
  }
});

test('a shard that leaves by itself while it is wanted elsewhere holds nothing up', async (t) => {
  const cluster = new Cluster(1);
  const old = await cluster.start('old');
  await cluster.start('next', { capacity: 0.001 });
  await cluster.clock.advance(1_000);
  cluster.bus.delayMs = () => 50;
  const told = cluster.ask('counter/k1');
  await cluster.clock.advance(1);
  // Its commit is under way: it cannot have left when the node is told to give it away.
  void old.host.running(0)?.stop();
  void old.roster.drain(true);
  await cluster.clock.advance(10_000);
  t.deepEqual(cluster.owners(), ['next']);
  t.deepEqual(await told, { ok: true, n: 1 });
});
