/** A chaos run: servers, nodes and clients as processes, faults by chance, and the verdict over what clients saw. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Client, connect } from '#runtime/client/node';
import { nodeStatuses } from '#runtime/node/api';
import { seededRandom } from '#runtime/testing/testing';
import { chainViolations } from '../rig/chain.ts';
import { arrivalsOf, type Finals, logViolations, violations } from './check.ts';
import { chooseFault, type Fault, type Site } from './faults.ts';
import { type Arrival, type Operation, readHistory } from './history.ts';
import { OPENING_BALANCE } from './machines.ts';
import { NodeProcess } from './node-process.ts';
import { startServers } from './servers.ts';
import { TcpProxy } from './tcp-proxy.ts';

export interface ChaosOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly servers: number;
  readonly nodes: number;
  /** Faults whose name contains it; all where empty. */
  readonly only: string;
  readonly folder: string;
  readonly tell: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface ChaosResult {
  readonly history: readonly Operation[];
  readonly faults: readonly Fault[];
  readonly violations: readonly string[];
  readonly from: number;
  readonly to: number;
}

const SHARDS = 12;
const CLIENTS = 2;
const CLIENT = fileURLToPath(new URL('./client-process.ts', import.meta.url));
const MACHINES = fileURLToPath(new URL('./machines.ts', import.meta.url));
/** Between the begin of a fault and that of the next, ms. */
const FAULT_EVERY_MS = 3_500;
const FAULTS_AT_ONCE_MAX = 2;
const UP_TIMEOUT_MS = 90_000;
const FINAL_TIMEOUT_MS = 90_000;
const LOOK_EVERY_MS = 100;
const COUNTERS = 24;
const ACCOUNTS = 10;

/** Throws where the realm does not come up, or does not come back once all faults are mended. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { folder, tell, seed } = options;
  await using owned = new AsyncDisposableStack();
  const site = await startSite(options, owned);
  const eye = await connect({ url: site.clientProxies.at(-1)?.url ?? '', from: 'eye' });
  owned.defer(() => eye.close());
  await allUp(eye, site);
  await openAccounts(eye);
  tell(`up: ${site.servers.length} servers, ${site.nodes.length} nodes, ${SHARDS} shards, seed ${seed}`);
  const files = Array.from({ length: CLIENTS }, (_, n) => join(folder, `history-${n + 1}.jsonl`));
  const clients = files.map((file, n) => startClient(`c${n + 1}`, site.clientProxies[n], seed + n, file));
  for (const client of clients) owned.defer(() => void client.kill());
  const from = Date.now();
  const faults = await disturb(options, site, from);
  tell('all faults are mended; the clients end what they have under way');
  await Promise.all(clients.map(endClient));
  await allUp(eye, site);
  const to = Date.now();
  const history = (await Promise.all(files.map(readHistory))).flat();
  const finals = await finalsOf(eye);
  const arrivals: Arrival[] = [];
  const broken = await chainViolations(eye.connection, (commit) => arrivals.push(...arrivalsOf(commit)));
  const found = [...violations(history, finals), ...logViolations(history, arrivals), ...broken];
  return { history, faults, violations: found, from, to };
}

async function startSite(options: ChaosOptions, owned: AsyncDisposableStack): Promise<Site> {
  const { folder, nodes: count } = options;
  const servers = await startServers(options.servers, folder);
  for (const server of servers) owned.defer(() => server.close());
  const ports = servers.map(({ port }) => port);
  const config = join(folder, 'realm.yaml');
  writeFileSync(config, configOf());
  const proxy = async (): Promise<TcpProxy> => {
    const made = await TcpProxy.start(ports);
    owned.defer(() => made.close());
    return made;
  };
  // The last one is the judge's own: no fault strikes it.
  const clientProxies = await Promise.all(Array.from({ length: CLIENTS + 1 }, proxy));
  const nodes: NodeProcess[] = [];
  for (let n = 0; n < count; n += 1) {
    mkdirSync(join(folder, 'nodes'), { recursive: true });
    const node = new NodeProcess(`n${n + 1}`, await proxy(), config, join(folder, 'nodes'));
    nodes.push(node);
    owned.defer(() => node.end('SIGKILL'));
  }
  await clusterReady(ports);
  for (const node of nodes) node.start();
  return { servers, nodes, clientProxies };
}

/** JetStream of a cluster takes requests once its servers have chosen a leader. */
async function clusterReady(ports: readonly number[]): Promise<void> {
  const { jetstreamManager } = await import('@nats-io/jetstream');
  const { connect: natsConnect } = await import('@nats-io/transport-node');
  const nc = await natsConnect({ servers: ports.map((port) => `127.0.0.1:${port}`) });
  try {
    const deadline = Date.now() + UP_TIMEOUT_MS;
    for (;;) {
      try {
        await (await jetstreamManager(nc, { timeout: 1_000 })).getAccountInfo();
        return;
      } catch (thrown) {
        if (Date.now() > deadline) throw thrown;
        await pause(LOOK_EVERY_MS);
      }
    }
  } finally {
    await nc.close();
  }
}

function configOf(): string {
  const kinds = ['register', 'account', 'notebook', 'fenced'].map(
    (name) => `  ${name}: { machine: "${MACHINES}#${name}", spawnOnMessage: true, door: open }`,
  );
  const lines = [
    'realm: chaos',
    'durability: strict',
    `shards: ${SHARDS}`,
    'limits: { snapshotEvery: 500, shardStay: 0 }',
    'kinds:',
    '  counter: { machine: counter, spawnOnMessage: true, door: open }',
    ...kinds,
  ];
  return `${lines.join('\n')}\n`;
}

/** Resolves once every node answers and every shard runs. */
async function allUp(eye: Client, { nodes }: Site): Promise<void> {
  const deadline = Date.now() + UP_TIMEOUT_MS;
  let last = 'no node answers';
  while (Date.now() < deadline) {
    const statuses = await nodeStatuses(eye.connection, 'if.api.status').catch(() => []);
    const running = statuses.flatMap(({ shards }) => shards.filter(({ phase }) => phase === 'running'));
    if (statuses.length === nodes.length && running.length === SHARDS) return;
    last = `${statuses.length} of ${nodes.length} nodes answer, ${running.length} of ${SHARDS} shards run`;
    await pause(LOOK_EVERY_MS);
  }
  throw new Error(`The realm was not up within ${UP_TIMEOUT_MS} ms: ${last}`);
}

async function openAccounts(eye: Client): Promise<void> {
  for (let n = 0; n < ACCOUNTS; n += 1)
    await eye.ask(`account/a${n}`, { type: 'get' }, { timeoutMs: 60_000 });
}

function startClient(name: string, proxy: TcpProxy | undefined, seed: number, out: string): ChildProcess {
  const args = ['--url', proxy?.url ?? '', '--name', name, '--seed', String(seed), '--out', out];
  return spawn(process.execPath, [CLIENT, ...args], { stdio: ['pipe', 'ignore', 'inherit'] });
}

/** Lets it end what it has under way. */
async function endClient(client: ChildProcess): Promise<void> {
  if (client.exitCode === null && client.signalCode === null) {
    const ended = once(client, 'exit');
    client.stdin?.end();
    await ended;
  }
  if (client.exitCode !== 0) throw new Error(`a client ended with code ${client.exitCode}`);
}

/** Faults until the time is over, all of them mended when it resolves. */
async function disturb(options: ChaosOptions, site: Site, from: number): Promise<Fault[]> {
  const { seed, minutes, only, tell, signal } = options;
  const random = seededRandom(seed);
  const end = from + minutes * 60_000;
  const faults: Fault[] = [];
  const busy = new Set<string>();
  const open = new Set<Promise<void>>();
  while (Date.now() < end && !signal.aborted) {
    await pause(FAULT_EVERY_MS * (0.5 + random.next()));
    const chosen = chooseFault(random, site, busy, only);
    if (chosen === undefined || open.size >= FAULTS_AT_ONCE_MAX) continue;
    const { kind, target, lastsMs } = chosen;
    busy.add(target.name);
    const one = (async () => {
      const began = Date.now();
      await target.begin(random);
      await pause(lastsMs);
      await target.mend();
      faults.push({ kind, target: target.name, from: began, to: Date.now() });
      tell(`${((began - from) / 1_000).toFixed(1)} s  ${kind} ${target.name}, ${Math.round(lastsMs)} ms`);
    })().finally(() => {
      busy.delete(target.name);
      open.delete(one);
    });
    open.add(one);
  }
  await Promise.all(open);
  return faults;
}

/** Reads all actors until no money is under way, and gives what they say. */
async function finalsOf(eye: Client): Promise<Finals> {
  const get = async <T>(key: string): Promise<T> =>
    (await eye.ask(key, { type: 'get' }, { timeoutMs: FINAL_TIMEOUT_MS })).reply as T;
  const counters: Record<string, number> = {};
  for (let n = 0; n < COUNTERS; n += 1) {
    counters[`counter/k${n}`] = (await get<{ n: number }>(`counter/k${n}`)).n;
  }
  const deadline = Date.now() + FINAL_TIMEOUT_MS;
  for (;;) {
    const balances: Record<string, number> = {};
    const given: Record<string, number> = {};
    let underWay = 0;
    for (let n = 0; n < ACCOUNTS; n += 1) {
      const one = await get<{ balance: number; given: number; got: number }>(`account/a${n}`);
      balances[`account/a${n}`] = one.balance;
      given[`account/a${n}`] = one.given;
      underWay += one.given - one.got;
    }
    const notebook = await get<Finals['notebook']>('notebook/j');
    if (underWay === 0 || Date.now() > deadline) {
      return { counters, balances, given, underWay, openingBalance: OPENING_BALANCE, notebook };
    }
    await pause(LOOK_EVERY_MS);
  }
}
