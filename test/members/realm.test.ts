/** Nodes of one realm over a real server: shards spread and move, and who asks does not notice but for the time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type NatsConnection, RequestError } from '@nats-io/nats-core';
import test, { type ExecutionContext } from 'ava';
import { builtins } from '#actors/index';
import { Subjects } from '#runtime/bus/subjects';
import { Client } from '#runtime/client/client';
import { apiRequest, fromWireError, type MembersReply, nodeStatuses } from '#runtime/node/api';
import type { Node } from '#runtime/node/node';
import { startNode } from '#runtime/node/start';
import type { Logger } from '#runtime/shard/ports';
import { realmConfigSchema } from '#schemas/config';
import { FabricError, type WireError } from '#schemas/fabric-error';
import { chainViolations } from '../rig/chain.ts';
import { silentLogger, TestServer } from '../rig/nats.ts';
import { isEveryday } from '../rig/tier.ts';

const SHARDS = 8;
const subjects = new Subjects('if', SHARDS);
/** Counters in two versions: one folder of code has the first, another has both. */
const COUNTERS = `${resolve(import.meta.dirname, 'counters.ts')}`;

/** Nodes in this process, on a server of their own. */
class Realm {
  readonly server: TestServer;
  readonly #folder = mkdtempSync(join(tmpdir(), 'if-nodes-'));
  readonly #nodes = new Map<string, Node>();

  constructor(server: TestServer) {
    this.server = server;
  }

  async node(
    name: string,
    over: { limits?: object; log?: Logger; counter?: 'v1' | 'v2'; labels?: Record<string, string> } = {},
  ): Promise<Node> {
    const config = realmConfigSchema.parse({
      realm: 'test',
      shards: SHARDS,
      kinds: {
        bridge: { machine: `${COUNTERS}#bridge`, spawnOnMessage: true, door: 'open', labels: ['sip'] },
        counter: { machine: `${COUNTERS}#${over.counter ?? 'v1'}`, spawnOnMessage: true, door: 'open' },
      },
      limits: { leaseTtl: '1s', shardStay: 0, ...over.limits },
      witness: { enabled: false },
    });
    const url = new URL(this.server.url);
    url.username = this.server.token;
    const { strategy, intensity, periodMs } = config.supervisor;
    const node = await startNode({
      config,
      spec: { strategy, intensity, periodMs, children: [] },
      baseDir: this.#folder,
      dataDir: join(this.#folder, name),
      builtins: {
        ...builtins,
        drivers: { ...builtins.drivers, where: { name: 'where', run: async () => name } },
      },
      join: url.href,
      place: { name, ...(over.labels !== undefined && { labels: over.labels }) },
      log: over.log ?? silentLogger,
    });
    this.#nodes.set(name, node);
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes.values()) await node.stop();
    rmSync(this.#folder, { recursive: true, force: true });
    await this.server[Symbol.asyncDispose]();
  }
}

async function realm(): Promise<Realm> {
  return new Realm(await TestServer.start());
}

/** Shards of each node that answers, by node id. */
async function spread(nc: NatsConnection): Promise<Map<string, number[]>> {
  const nodes = await nodeStatuses(nc, 'if.api.status');
  return new Map(nodes.map(({ nodeId, shards }) => [nodeId, shards.map(({ shard }) => shard)]));
}

/** Every shard that somebody can run is where it should be. */
async function settledPlaces(nc: NatsConnection): Promise<boolean> {
  const { members, places } = await apiRequest<MembersReply>(nc, 'if.api.members');
  return places.every(({ shard, owner, wanted }) => {
    const holder = members.find(({ id }) => id === owner);
    return wanted === holder?.name && (holder === undefined || shard in holder.shards);
  });
}

async function until(done: () => Promise<boolean>, what: string, timeoutMs = 120_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((r) => setTimeout(r, 20));
  }
}

/** Asks every counter again and again, one at a time each, until ended; then checks that each ask counted once. */
class Asking {
  readonly errors: string[] = [];
  asked = 0;
  slowestMs = 0;
  #ended = false;
  readonly #loops: Promise<void>[];
  readonly #counts = new Map<string, number>();
  readonly #ask: (id: string, n: number) => Promise<number>;

  constructor(actors: number, prefix: string, ask: (id: string, n: number) => Promise<number>) {
    this.#ask = ask;
    this.#loops = Array.from({ length: actors }, (_, n) => this.#loop(`${prefix}${n}`));
  }

  /** Awaits so many more answers. */
  async more(count: number): Promise<void> {
    const wanted = this.asked + count;
    await until(async () => this.asked >= wanted || this.errors.length > 0, `${count} more answers`);
  }

  async end(t: ExecutionContext): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#loops);
    t.deepEqual(this.errors, []);
  }

  async #loop(id: string): Promise<void> {
    for (let n = 1; !this.#ended; n++) {
      const startedAt = performance.now();
      try {
        const count = await this.#ask(id, n);
        if (count !== n) throw new Error(`${id} counts ${count} after ${n} asks`);
        this.#counts.set(id, n);
        this.asked += 1;
      } catch (error) {
        this.errors.push(`${id} ${n}: ${(error as Error).message}`);
        return;
      }
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
    }
  }
}

/** As any tool asks: a core request, no message id, no second try. */
function plainly(nc: NatsConnection): (id: string, n: number) => Promise<number> {
  return async (id, n) => {
    const subject = n % 2 === 0 ? subjects.ask(`counter/${id}`) : subjects.askShard(`counter/${id}`);
    const answer = await nc.request(subject, '{"type":"inc"}', { timeout: 30_000 });
    const body = answer.json<{ ok: boolean; reply?: { n: number }; error?: WireError }>();
    if (body.error !== undefined) throw fromWireError(body.error);
    if (body.reply === undefined) throw new Error('no reply');
    return body.reply.n;
  };
}

/** Asks again where a shard has nobody at its door yet, or nobody who runs it: such an ask was taken by nobody. */
function again(ask: (id: string, n: number) => Promise<number>): (id: string, n: number) => Promise<number> {
  return async (id, n) => {
    let heard: number | undefined;
    await until(async () => {
      try {
        heard = await ask(id, n);
        return true;
      } catch (thrown) {
        if (thrown instanceof RequestError && thrown.isNoResponders()) return false;
        if (thrown instanceof FabricError && thrown.code === 'shard_unowned') return false;
        throw thrown;
      }
    }, `somebody who hears ${id}`);
    return heard ?? 0;
  };
}

test('through joins, a drain and a stop no ask fails and each counts once, plain or with the client', async (t) => {
  await using r = await realm();
  // Nobody crashes here: a machine that stands still for a moment must not look as if somebody had.
  const calm = { limits: { leaseTtl: '4s' } };
  const first = await r.node('first', calm);
  const nc = await r.server.connect();
  await using client = new Client(await r.server.connect());
  await client.learnShards();
  const plain = new Asking(8, 'p', plainly(nc));
  const typed = new Asking(8, 'c', async (id) => {
    const { reply } = await client.ask(`counter/${id}`, { type: 'inc' });
    return (reply as { n: number }).n;
  });
  await plain.more(100);
  const second = await r.node('second', calm);
  const total = async (): Promise<number[]> => [...(await spread(nc)).values()].map((s) => s.length);
  await until(
    async () =>
      (await spread(nc)).get(second.id)?.length !== 0 && (await total()).reduce((a, b) => a + b) === SHARDS,
    'spread',
  );
  await plain.more(100);
  await typed.more(100);
  const third = await r.node('third', calm);
  await until(
    async () => (await total()).every((n) => n > 0) && (await total()).reduce((a, b) => a + b) === SHARDS,
    'spread',
  );
  await plain.more(100);
  await first.stop();
  await plain.more(100);
  await typed.more(100);
  await second.stop();
  await plain.more(100);
  t.is((await spread(nc)).get(third.id)?.length, SHARDS);
  await plain.end(t);
  await typed.end(t);
  t.deepEqual(await chainViolations(nc), []);
  t.log(
    `${plain.asked} plain asks, slowest ${Math.round(plain.slowestMs)} ms; ${typed.asked} of the client, slowest ${Math.round(typed.slowestMs)} ms`,
  );
});

test.skipIf(isEveryday)(
  'two versions side by side: who lacks the machine of an actor never gets its shard, and it is said why',
  async (t) => {
    await using r = await realm();
    const old = await r.node('old', { counter: 'v1' });
    const nc = await r.server.connect();
    const ask = again(plainly(nc));
    const ids = Array.from({ length: 24 }, (_, n) => `k${n}`);
    for (const id of ids) t.is(await ask(id, 1), 1);
    const fresh = await r.node('fresh', { counter: 'v2' });
    const newer = await r.node('newer', { counter: 'v2' });
    const view = (): Promise<MembersReply> => apiRequest<MembersReply>(nc, 'if.api.members');
    const owned = async (): Promise<number> => (await spread(nc)).get(old.id)?.length ?? 0;
    await until(async () => (await owned()) < SHARDS && (await settledPlaces(nc)), 'spread');
    // New actors at the new nodes begin on version 2, those of before stay on 1.
    for (let n = 0; n < 48; n++) await ask(`n${n}`, 1);
    for (const id of ids) t.is(await ask(id, 2), 2);
    const needing = new Set(
      (await view()).places.filter(({ needs }) => needs.includes('tally@2')).map(({ shard }) => shard),
    );
    t.true(needing.size > 0 && needing.size < SHARDS);

    // The old node is the only one that takes what the others leave, but for what it has no machine for.
    await fresh.stop();
    await until(() => settledPlaces(nc), 'moved');
    t.deepEqual(
      ((await spread(nc)).get(old.id) ?? []).filter((shard) => needing.has(shard)),
      [],
    );
    await newer.stop();
    await until(async () => (await owned()) === SHARDS - needing.size, 'the old node has what it can run');
    for (const { shard, wanted, unfit } of (await view()).places) {
      t.is(wanted === undefined, needing.has(shard));
      if (needing.has(shard)) t.deepEqual(unfit, { old: 'has no tally@2' });
    }
    // Nobody has failed: a node that has the machine finds all as it was.
    await r.node('again', { counter: 'v2' });
    await until(
      async () => (await settledPlaces(nc)) && (await view()).places.every((p) => p.owner !== undefined),
      'owned',
    );
    for (const id of ids) t.is(await ask(id, 3), 3);
    t.deepEqual(await chainViolations(nc), []);
  },
);

test.skipIf(isEveryday)(
  'effects of a kind with labels run where the labels are, whoever owns the shard, and wait where nobody has them',
  async (t) => {
    await using r = await realm();
    await r.node('plain');
    const host = await r.node('host', { labels: { sip: 'true' } });
    const nc = await r.server.connect();
    await until(() => settledPlaces(nc), 'spread');
    await using client = new Client(await r.server.connect());
    const ids = Array.from({ length: 16 }, (_, n) => `bridge/b${n}`);
    const call = () => Promise.all(ids.map((id) => client.ask(id, { type: 'call' })));
    const ran = async (): Promise<string[][]> =>
      Promise.all(
        ids.map(async (id) => ((await client.ask(id, { type: 'get' })).reply as { ran: string[] }).ran),
      );
    await call();
    await until(async () => (await ran()).every((list) => list.length === 1), 'first calls');
    await host.stop();
    await call();
    const waiting = await ran();
    t.true(waiting.every((list) => list.length === 1 && list[0] === 'host'));
    await r.node('other', { labels: { sip: 'true', more: 'yes' } });
    await until(async () => (await ran()).every((list) => list.length === 2), 'second calls');
    t.true((await ran()).every((list) => list[1] === 'other'));
  },
);
