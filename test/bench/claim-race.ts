/**
 * Claims that are raced for, beside a bare create of a key-value bucket and, where it is installed, an etcd transaction, in
 * one run. Every task is wanted by several clients at the same moment; exactly one gets it, or the run fails.
 *
 * Measured is how long the winner took until it knew, and how long the others took. Under full load each group of clients
 * begins the next task when all of it know of the last: its figures say how much is done, and a wait there is a queue. Under
 * a paced load tasks begin at fixed moments, whatever became of those before, and waits count from these moments. The first
 * turn of each is not counted: it is that of programs that have only just started.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { StorageType } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { openCoordinator } from '#actors/coordinator/client';
import { type Client, connect } from '#runtime/client/node';
import { type Etcd, startEtcd } from './etcd.ts';
import { quantile } from './measure.ts';
import { usageOf } from './process.ts';
import type { Durability, Realm } from './realm.ts';
import { type Row, rounded, row } from './row.ts';

export const CLAIM = 'claim race';

const CLIENTS = 64;
/** Clients that want the same task. */
const RIVALS = 8;
const TASKS = 10_000;
/** Tasks that begin in a second of a paced load: less than half of what the slowest subject does on the slowest machine. */
const PACE = 100;
const PACED_TASKS = 2_000;
/**
 * Subjects take turns on the same machine: what else happens there hits all of them. After each turn the winners complete
 * what they won: no worker holds hundreds of tasks.
 */
const TURNS = 20;
const ADDED_AT_ONCE = 500;
const TIMER_SLACK_MS = 2;
/** Before a turn: what the one before and the adding of tasks have left to do is done by then. */
const QUIET_MS = 100;
const ETCD = 'etcd transaction';

/** Tries to get `item`; true for who got it. */
type Claimer = (item: string) => Promise<boolean>;

interface Contest {
  readonly name: string;
  readonly claimers: readonly Claimer[];
  /** Processes that serve it. */
  readonly pids: readonly number[];
  /** What has to be there before. */
  readonly prepare?: (items: readonly string[]) => Promise<void>;
  /** Throws where the subject itself knows otherwise; makes room for the next turn. */
  readonly settle?: (winners: ReadonlyMap<string, number>) => Promise<void>;
}

interface Sample {
  readonly won: number[];
  readonly lost: number[];
  elapsedMs: number;
  clientCpuUs: number;
  servedCpuUs: number;
}

/** When which group begins. */
type Load = (items: readonly string[], groups: number, race: Race) => Promise<void>;
/** Lets a group race for an item; the time counts from `since`. */
type Race = (item: string, group: number, since: number) => Promise<void>;

export async function* claimRace(realm: Realm, durability: Durability, scale: number): AsyncGenerator<Row> {
  await using stack = new AsyncDisposableStack();
  const etcd = await startEtcd();
  if (etcd !== undefined) stack.use(etcd);
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, n) => {
      const client = await connect({ ...realm.address, from: `session/w${n}` });
      stack.defer(() => client.close());
      return client;
    }),
  );
  const server = realm.serverPid === undefined ? [] : [realm.serverPid];
  const contests = [
    await claims(realm, clients, [realm.node.pid, ...server], stack),
    await bareKeys('bare KV create', StorageType.File, clients, server),
    await bareKeys('bare KV create in memory', StorageType.Memory, clients, server),
    ...(etcd === undefined ? [] : [etcdKeys(etcd, stack)]),
  ];
  const least = TURNS * RIVALS;
  const loads = [
    { name: 'all the time', load: fullLoad, tasks: Math.max(least, Math.ceil(TASKS * scale)) },
    { name: `${PACE} tasks/s`, load: pacedLoad, tasks: Math.max(least, Math.ceil(PACED_TASKS * scale)) },
  ];
  for (const { name, load, tasks } of loads) {
    const samples = await inTurns(contests, load, name, Math.ceil(tasks / TURNS));
    const [, bare] = samples;
    const beside = samples[contests.findIndex((contest) => contest.name === ETCD)];
    for (const [n, sample] of samples.entries()) {
      const title = `${CLAIM} ${durability}, ${CLIENTS} clients, ${RIVALS} rivals a task, ${name}`;
      yield row(`${title}: ${contests[n]?.name}`, figuresOf(sample, bare, beside));
    }
  }
  if (etcd === undefined)
    yield row(`${CLAIM} ${durability}: etcd is not installed (Debian: etcd-server)`, {});
}

async function inTurns(
  contests: readonly Contest[],
  load: Load,
  name: string,
  tasks: number,
): Promise<readonly Sample[]> {
  const samples = contests.map(emptySample);
  for (let turn = 0; turn <= TURNS; turn += 1) {
    const items = Array.from({ length: tasks }, (_, n) => `t-${name.replaceAll(/\W/g, '')}-${turn}-${n}`);
    for (const [n, contest] of contests.entries()) {
      await contest.prepare?.(items);
      await pause(QUIET_MS);
      const winners = await contend(
        contest,
        items,
        load,
        turn === 0 ? emptySample() : (samples[n] as Sample),
      );
      await contest.settle?.(winners);
    }
  }
  return samples;
}

function emptySample(): Sample {
  return { won: [], lost: [], elapsedMs: 0, clientCpuUs: 0, servedCpuUs: 0 };
}

/** Every item is tried by {@link RIVALS} clients at the same moment; exactly one of them may get it. */
async function contend(
  { claimers, name, pids }: Contest,
  items: readonly string[],
  load: Load,
  sample: Sample,
): Promise<ReadonlyMap<string, number>> {
  const winners = new Map<string, number>();
  const race: Race = async (item, group, since) => {
    const first = group * RIVALS;
    await Promise.all(
      claimers.slice(first, first + RIVALS).map(async (claim, n) => {
        const isOurs = await claim(item);
        (isOurs ? sample.won : sample.lost).push(performance.now() - since);
        if (!isOurs) return;
        if (winners.has(item)) throw new Error(`${name}: ${item} was won twice`);
        winners.set(item, first + n);
      }),
    );
  };
  const [served, own, began] = [cpuOf(pids), process.cpuUsage(), performance.now()];
  await load(items, claimers.length / RIVALS, race);
  sample.elapsedMs += performance.now() - began;
  const { user, system } = process.cpuUsage(own);
  sample.clientCpuUs += user + system;
  sample.servedCpuUs += cpuOf(pids) - served;
  if (winners.size !== items.length)
    throw new Error(`${name}: ${items.length - winners.size} have no winner`);
  return winners;
}

/** Each group begins the next when all of it know of the last. */
const fullLoad: Load = async (items, groups, race) => {
  let next = 0;
  await Promise.all(
    Array.from({ length: groups }, async (_, group) => {
      for (let item = items[next++]; item !== undefined; item = items[next++])
        await race(item, group, performance.now());
    }),
  );
};

/** One begins every so often, whether the ones before are decided or not. */
const pacedLoad: Load = async (items, groups, race) => {
  const began = performance.now();
  const races: Promise<void>[] = [];
  for (const [n, item] of items.entries()) {
    const due = began + (n * 1_000) / PACE;
    const wait = due - performance.now();
    if (wait > 0) await pause(wait);
    const now = performance.now();
    // What begins late because this process had no time is late for who waits, too; a timer's own slack is not.
    races.push(race(item, n % groups, now - due > TIMER_SLACK_MS ? due : now));
  }
  await Promise.all(races);
};

async function claims(
  realm: Realm,
  clients: readonly Client[],
  pids: readonly number[],
  stack: AsyncDisposableStack,
): Promise<Contest> {
  const client = await connect({ ...realm.address, from: 'operator/bench' });
  stack.defer(() => client.close());
  const operator = stack.use(openCoordinator(client));
  const workers = clients.map((own) => stack.use(openCoordinator(own, { leaseMs: 600_000 })));
  return {
    name: 'claim',
    pids,
    claimers: workers.map((worker) => async (id: string) => (await worker.claim(id)).won),
    async prepare(ids) {
      for (let from = 0; from < ids.length; from += ADDED_AT_ONCE) {
        const reply = await operator.addTasks(ids.slice(from, from + ADDED_AT_ONCE).map((id) => ({ id })));
        if (!reply.accepted) throw new Error(reply.reason);
      }
      // The last task hears of itself last.
      while ((await operator.task(ids.at(-1) ?? ''))?.status !== 'available');
    },
    async settle(winners) {
      await Promise.all(
        workers.map(async (worker, own) => {
          for (const [id, winner] of winners) {
            if (winner !== own) continue;
            const holder = (await operator.task(id))?.worker;
            if (holder !== `session/w${own}`) throw new Error(`${id}: ${holder} has it, w${own} won it`);
            const reply = await worker.complete(id);
            if (!reply.accepted) throw new Error(`${id} is not complete: ${reply.reason}`);
          }
        }),
      );
    },
  };
}

async function bareKeys(
  name: string,
  storage: StorageType,
  clients: readonly Client[],
  pids: readonly number[],
): Promise<Contest> {
  const bucket = `bench_${storage}`;
  const [first] = clients;
  if (first !== undefined) await new Kvm(first.connection).create(bucket, { storage, history: 1 });
  const kvs = await Promise.all(clients.map(({ connection }) => new Kvm(connection).open(bucket)));
  return {
    name,
    pids,
    claimers: kvs.map((kv, n) => async (key: string) => {
      try {
        await kv.create(key, `session/w${n}`);
        return true;
      } catch {
        // Another has it: that one is counted.
        return false;
      }
    }),
  };
}

function etcdKeys(etcd: Etcd, stack: AsyncDisposableStack): Contest {
  const claimers = Array.from({ length: CLIENTS }, (_, n) => {
    const client = etcd.client();
    stack.defer(() => client.close());
    return (key: string) => client.create(key, `session/w${n}`);
  });
  return { name: ETCD, claimers, pids: [etcd.pid] };
}

function figuresOf(sample: Sample, bare: Sample | undefined, etcd: Sample | undefined) {
  const { won, lost, elapsedMs, clientCpuUs, servedCpuUs } = sample;
  const at = (one: Sample | undefined, q: number) => quantile(sorted(one?.won ?? []), q);
  const times = (other: Sample | undefined, q: number) => rounded(at(sample, q) / at(other, q), 2);
  return {
    opsPerSec: Math.round((won.length * 1_000) / elapsedMs),
    p50Ms: rounded(at(sample, 0.5), 3),
    p99Ms: rounded(at(sample, 0.99), 3),
    p50OfBare: times(bare, 0.5),
    p99OfBare: times(bare, 0.99),
    ...(etcd !== undefined && { p50OfEtcd: times(etcd, 0.5), p99OfEtcd: times(etcd, 0.99) }),
    lostP50Ms: rounded(quantile(sorted(lost), 0.5), 3),
    lostP99Ms: rounded(quantile(sorted(lost), 0.99), 3),
    servedCpuMs: rounded(servedCpuUs / 1_000 / won.length, 2),
    clientCpuMs: rounded(clientCpuUs / 1_000 / won.length, 2),
  };
}

function sorted(times: readonly number[]): Float64Array {
  return Float64Array.from(times).sort();
}

/** Of processes, so far; 0 off Linux. */
function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (usageOf(pid)?.cpuUs ?? 0), 0);
}
