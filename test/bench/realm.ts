/** A realm as a user starts it: `infrafabric up` in a folder of its own, and a client. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Client, connect } from '#runtime/client/node';
import type { NodeStatus, RunFile } from '#runtime/node/api';
import { nodeStatuses } from '#runtime/node/api';
import { type Measured, serverBelow, startProgram } from './process.ts';

export type Durability = 'strict' | 'relaxed';

export interface RealmOptions {
  readonly durability: Durability;
  /** The default when absent. */
  readonly shards?: number;
  readonly limits?: Readonly<Record<string, number>>;
  readonly profileDir?: string | undefined;
  /** Without a config: the first realm, of counters. */
  readonly isFirst?: boolean;
  /** What is started; the checkout's sources when absent. */
  readonly program?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Further lines of the config. */
  readonly config?: readonly string[];
  /** What the client does with asks made at the same moment; its default when absent. */
  readonly batching?: boolean;
}

export interface Realm extends AsyncDisposable {
  readonly client: Client;
  /** Where further clients connect. */
  readonly address: { readonly url: string; readonly token?: string };
  readonly node: Measured;
  /** Its nats-server; undefined off Linux. */
  readonly serverPid: number | undefined;
  status(): Promise<NodeStatus>;
  /** Stops the node and starts it again in the same folder; resolves with the lines of its log, parsed. */
  restart(): Promise<readonly LogLine[]>;
}

export interface LogLine {
  readonly event?: string;
  readonly ms?: number;
}

const READY_TIMEOUT_MS = 300_000;
const POLL_MS = 2;
/** The command, run from its sources. */
export const SOURCES = fileURLToPath(new URL('../../actors/infrafabric.js', import.meta.url));
const MACHINES = fileURLToPath(new URL('./machines.ts', import.meta.url));

export async function startRealm(options: RealmOptions): Promise<Realm> {
  await using owned = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'infrafabric-bench-'));
  owned.defer(() => rm(folder, { recursive: true, force: true }));
  const config = join(folder, 'bench.yaml');
  if (options.isFirst !== true) await writeFile(config, configOf(options));
  let session = await open(folder, config, options);
  owned.defer(() => session.close());
  const kept = owned.move();
  return {
    get client() {
      return session.client;
    },
    get address() {
      return session.address;
    },
    get node() {
      return session.node;
    },
    get serverPid() {
      return session.serverPid;
    },
    async status() {
      const [status] = await nodeStatuses(session.client.connection, 'if.api.status');
      if (status === undefined) throw new Error('the node does not answer');
      return status;
    },
    async restart() {
      await session.close();
      session = await open(folder, config, options);
      return session.lines;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

interface Session {
  readonly node: Measured;
  readonly client: Client;
  readonly address: Realm['address'];
  readonly serverPid: number | undefined;
  readonly lines: LogLine[];
  close(): Promise<void>;
}

async function open(
  folder: string,
  config: string,
  { profileDir, batching, isFirst, program = SOURCES, env }: RealmOptions,
): Promise<Session> {
  await using owned = new AsyncDisposableStack();
  const data = join(folder, 'data');
  const node = startProgram([program, 'up', ...(isFirst === true ? [] : [config]), '--json'], {
    cwd: folder,
    env: { ...env, INFRAFABRIC_DATA: data, INFRAFABRIC_LOG: 'info' },
    profileDir,
  });
  owned.defer(() => node.end());
  const lines: LogLine[] = [];
  const other: string[] = [];
  node.onLine((line) => {
    if (line.startsWith('{')) lines.push(JSON.parse(line) as LogLine);
    else other.push(line);
  });
  const run = await Promise.race([
    runFile(join(data, 'run.json')),
    once(node.child, 'exit').then(([code]) =>
      Promise.reject(new Error(`the node ended with code ${code}: ${other.join('\n')}`)),
    ),
  ]);
  const client = await connect({
    url: run.url,
    prefix: run.prefix,
    ...(run.token !== undefined && { token: run.token }),
    ...(batching !== undefined && { batching }),
  });
  owned.defer(() => client.close());
  const serverPid = serverBelow(node.pid);
  const kept = owned.move();
  const address = { url: run.url, ...(run.token !== undefined && { token: run.token }) };
  return { node, client, address, serverPid, lines, close: () => kept.disposeAsync() };
}

/** Written once the node is up. */
async function runFile(path: string): Promise<RunFile> {
  const end = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < end) {
    if (existsSync(path)) return JSON.parse(await readFile(path, 'utf8')) as RunFile;
    await pause(POLL_MS);
  }
  throw new Error(`the node was not up within ${READY_TIMEOUT_MS} ms`);
}

function configOf({ durability, shards, limits = {}, config = [] }: RealmOptions): string {
  const lines = [
    'realm: bench',
    `durability: ${durability}`,
    ...(shards === undefined ? [] : [`shards: ${shards}`]),
    ...config,
    `limits: ${JSON.stringify(limits)}`,
    'kinds:',
    '  counter: { machine: counter, spawnOnMessage: true, door: open }',
    `  relay: { machine: "${MACHINES}#relay", spawnOnMessage: true, door: open }`,
    ...['board', 'budget', 'costs', 'ledger', 'prices', 'session', 'task'].map(
      (kind) => `  ${kind}: { machine: ${kind}, spawnOnMessage: true, door: open }`,
    ),
    `  alarm: { machine: "${MACHINES}#alarm", spawnOnMessage: true, door: open }`,
  ];
  return `${lines.join('\n')}\n`;
}
