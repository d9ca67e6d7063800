/**
 * Claims that are raced for, beside a bare create of a key-value bucket and, where it is installed, an etcd transaction, in
 * one run; and the push of new tasks to watchers.
 *
 * Every task is raced for by several clients at the same moment, and all clients are at it all the time. What is measured
 * is how long the winner took until it knew; that each task has exactly one is checked, or the run fails.
 */
import { StorageType } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { openCoordinator } from '#actors/coordinator/client';
import type { CoordinatorClient } from '#actors/coordinator/types';
import { type Client, connect } from '#runtime/client/node';
import { type Etcd, startEtcd } from './etcd.ts';
import { figures } from './measure.ts';
import { type Durability, type Realm, startRealm } from './realm.ts';
import { type Row, rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const CLIENTS = 64;
/** Clients that want the same task. */
const RIVALS = 8;
const TASKS = 10_000;
/** Subjects take turns on the same machine: what else happens there hits all of them. */
const TURNS = 5;
const WATCHERS = 100;
const PUSHED = 300;
const ADDED_AT_ONCE = 500;

/** Tries to get `item`; true for who got it. */
type Claimer = (item: string) => Promise<boolean>;

interface Contest {
  readonly name: string;
  readonly claimers: readonly Claimer[];
  /** What has to be there before. */
  readonly prepare: (items: readonly string[]) => Promise<void>;
  /** Throws where the subject itself knows otherwise. */
  readonly check: (winners: ReadonlyMap<string, number>) => Promise<void>;
}

const CLAIM = 'claim race';
const PUSH = 'push of a new task';

const DURABILITIES = ['strict', 'relaxed'] as const;

export const coordinator: Suite = {
  benches: [CLAIM, PUSH],
  async *run(wanted, { scale, profileDir }) {
    for (const durability of DURABILITIES) {
      await using realm = await startRealm({ durability, profileDir });
      if (wanted(CLAIM)) yield* race(realm, durability, Math.max(TURNS * RIVALS, Math.ceil(TASKS * scale)));
      if (wanted(PUSH)) yield await push(realm, durability, Math.max(10, Math.ceil(PUSHED * scale)));
    }
  },
};

async function* race(realm: Realm, durability: Durability, tasks: number): AsyncGenerator<Row> {
  await using stack = new AsyncDisposableStack();
  const etcd = stack.use(await startEtcd().then((found) => found ?? ABSENT));
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, n) => {
      const client = await clientOf(realm, `session/w${n}`);
      stack.defer(() => client.close());
      return client;
    }),
  );
  const contests = [
    await claims(realm, clients, stack),
    await bareKeys('bare KV create', StorageType.File, clients),
    await bareKeys('bare KV create in memory', StorageType.Memory, clients),
    ...('client' in etcd ? [etcdKeys(etcd, stack)] : []),
  ];
  const samples = new Map<Contest, { readonly latencies: number[]; elapsedMs: number }>();
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const contest of contests) {
      const items = Array.from({ length: Math.ceil(tasks / TURNS) }, (_, n) => `t${turn}-${n}`);
      await contest.prepare(items);
      const sample = samples.get(contest) ?? { latencies: [], elapsedMs: 0 };
      samples.set(contest, sample);
      const { latencies, elapsedMs, winners } = await contend(contest, items);
      sample.latencies.push(...latencies);
      sample.elapsedMs += elapsedMs;
      await contest.check(winners);
    }
  }
  const bare = contests[1];
  const bareFigures = figuresOf(bare === undefined ? undefined : samples.get(bare));
  for (const contest of contests) {
    const own = figuresOf(samples.get(contest));
    yield row(`${CLAIM} ${durability}, ${CLIENTS} clients, ${RIVALS} rivals a task: ${contest.name}`, {
      ...own,
      p50OfBare: rounded(own.p50Ms / bareFigures.p50Ms, 2),
      p99OfBare: rounded(own.p99Ms / bareFigures.p99Ms, 2),
    });
  }
  if (!('client' in etcd))
    yield row(`${CLAIM} ${durability}: etcd is not installed (Debian: etcd-server)`, {});
}

const ABSENT = { async [Symbol.asyncDispose]() {} };

/** Every item is tried by {@link RIVALS} clients at the same moment; exactly one of them may get it. */
async function contend(
  { claimers, name }: Contest,
  items: readonly string[],
): Promise<{ latencies: readonly number[]; elapsedMs: number; winners: ReadonlyMap<string, number> }> {
  const winners = new Map<string, number>();
  const latencies: number[] = [];
  let next = 0;
  const began = performance.now();
  const groups = Array.from({ length: claimers.length / RIVALS }, (_, group) => group * RIVALS);
  await Promise.all(
    groups.map(async (first) => {
      for (let item = items[next++]; item !== undefined; item = items[next++]) {
        const wanted = item;
        await Promise.all(
          claimers.slice(first, first + RIVALS).map(async (claim, n) => {
            const start = performance.now();
            if (!(await claim(wanted))) return;
            latencies.push(performance.now() - start);
            if (winners.has(wanted)) throw new Error(`${name}: ${wanted} was won twice`);
            winners.set(wanted, first + n);
          }),
        );
      }
    }),
  );
  if (winners.size !== items.length)
    throw new Error(`${name}: ${items.length - winners.size} have no winner`);
  return { latencies, elapsedMs: performance.now() - began, winners };
}

async function claims(
  realm: Realm,
  clients: readonly Client[],
  stack: AsyncDisposableStack,
): Promise<Contest> {
  const operator = await coordinatorOf(realm, 'operator/bench', stack);
  const workers = clients.map((client) => stack.use(openCoordinator(client, { leaseMs: 600_000 })));
  return {
    name: 'claim',
    claimers: workers.map((worker) => async (id: string) => (await worker.claim(id)).won),
    async prepare(ids) {
      for (let from = 0; from < ids.length; from += ADDED_AT_ONCE) {
        const reply = await operator.addTasks(ids.slice(from, from + ADDED_AT_ONCE).map((id) => ({ id })));
        if (!reply.accepted) throw new Error(reply.reason);
      }
      // The last task hears of itself last.
      while ((await operator.task(ids.at(-1) ?? ''))?.status !== 'available');
    },
    async check(winners) {
      for (const [id, winner] of winners) {
        const worker = (await operator.task(id))?.worker;
        if (worker !== `session/w${winner}`) throw new Error(`${id}: ${worker} has it, w${winner} won it`);
      }
    },
  };
}

async function bareKeys(name: string, storage: StorageType, clients: readonly Client[]): Promise<Contest> {
  const bucket = `bench_${storage}`;
  const [first] = clients;
  if (first !== undefined) await new Kvm(first.connection).create(bucket, { storage, history: 1 });
  const kvs = await Promise.all(clients.map(({ connection }) => new Kvm(connection).open(bucket)));
  return {
    name,
    claimers: kvs.map((kv, n) => async (key: string) => {
      try {
        await kv.create(key, `session/w${n}`);
        return true;
      } catch {
        // Another has it: that one is counted.
        return false;
      }
    }),
    prepare: async () => {},
    check: async () => {},
  };
}

function etcdKeys(etcd: Etcd, stack: AsyncDisposableStack): Contest {
  const claimers = Array.from({ length: CLIENTS }, (_, n) => {
    const client = etcd.client();
    stack.defer(() => client.close());
    return (key: string) => client.create(key, `session/w${n}`);
  });
  return { name: 'etcd transaction', claimers, prepare: async () => {}, check: async () => {} };
}

async function push(realm: Realm, durability: Durability, tasks: number): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const operator = await coordinatorOf(realm, 'operator/pusher', stack);
  const heard = new Map<string, (at: number) => void>();
  await Promise.all(
    Array.from({ length: WATCHERS }, async (_, n) => {
      const watcher = await coordinatorOf(realm, `session/v${n}`, stack);
      stack.defer(
        watcher.watch({ task: '*' }, (news) => {
          if (news.event === 'task.available') heard.get(news.task.id)?.(performance.now());
        }),
      );
      // The server knows of the subscription once it has answered.
      await watcher.task('none');
    }),
  );
  const latencies: number[] = [];
  const began = performance.now();
  for (let n = 0; n < tasks; n += 1) {
    const id = `p${n}`;
    const all = Promise.withResolvers<void>();
    const start = performance.now();
    let left = WATCHERS;
    heard.set(id, (at) => {
      latencies.push(at - start);
      left -= 1;
      if (left === 0) all.resolve();
    });
    await operator.addTasks([{ id }]);
    await all.promise;
    heard.delete(id);
  }
  const own = figuresOf({ latencies, elapsedMs: performance.now() - began });
  return row(`${PUSH} ${durability} to ${WATCHERS} watchers, from the wish to add it`, {
    p50Ms: own.p50Ms,
    p99Ms: own.p99Ms,
  });
}

async function clientOf(realm: Realm, from: string): Promise<Client> {
  return await connect({ ...realm.address, from });
}

async function coordinatorOf(
  realm: Realm,
  from: string,
  stack: AsyncDisposableStack,
): Promise<CoordinatorClient> {
  const client = await clientOf(realm, from);
  stack.defer(() => client.close());
  return stack.use(openCoordinator(client));
}

function figuresOf(
  sample: { readonly latencies: readonly number[]; readonly elapsedMs: number } | undefined,
) {
  const { latencies = [], elapsedMs = 0 } = sample ?? {};
  const sorted = Float64Array.from(latencies).sort();
  return figures({ ops: sorted.length, elapsedMs, latencies: sorted });
}
