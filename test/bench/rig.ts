/** nats-servers of a benchmark's own, in a folder of their own: one alone, or a cluster. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { locateServer } from '#runtime/node/locate-server';
import type { Logger } from '#runtime/shard/ports';
import { planCluster } from '../../deploy/cluster/plan.ts';
import { type ClusterServer, ClusterServers } from '../../deploy/cluster/servers.ts';
import { endChild, owned } from './process.ts';

/** Where programs and clients connect. */
export interface Bus {
  /** URLs without the token. */
  readonly servers: readonly string[];
  readonly token?: string;
  readonly pids: readonly number[];
}

export interface BenchServer extends Bus, AsyncDisposable {
  readonly url: string;
}

export interface BenchCluster extends Bus, AsyncDisposable {
  readonly members: readonly ClusterServer[];
}

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024;

/** Starts the server on a free port; `strict` syncs each write before its acknowledgement. Throws where it ends early. */
export async function benchServer(strict: boolean): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), 'infrafabric-bench-'));
  const config = join(folder, 'server.conf');
  const sync = strict ? ', sync_interval: always' : '';
  await writeFile(
    config,
    `listen: "127.0.0.1:-1"\nmax_payload: ${MAX_PAYLOAD_BYTES}\njetstream { store_dir: "${folder}/js"${sync} }\n`,
  );
  const binary = await locateServer(process.env);
  const child = owned(spawn(binary, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] }));
  const url = await listening(child);
  return {
    url,
    servers: [url],
    pids: [child.pid ?? 0],
    async [Symbol.asyncDispose]() {
      await endChild(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Starts `count` servers as one cluster on this machine, as `npm run cluster` does. */
export async function benchCluster(count: number, strict: boolean): Promise<BenchCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'infrafabric-bench-'));
  const plan = await planCluster({ folder, servers: count, strict });
  const cluster = await ClusterServers.start({
    plan,
    binary: await locateServer(process.env),
    logger: SILENT,
  });
  return {
    servers: cluster.servers.map(({ url }) => url),
    token: plan.token,
    members: cluster.servers,
    get pids() {
      return cluster.servers.flatMap(({ pid }) => pid ?? []);
    },
    async [Symbol.asyncDispose]() {
      await cluster.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`nats-server ended with code ${code}`)));
    if (child.stderr === null) return;
    let url = '';
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /client connections on (\S+)$/.exec(line)?.[1];
      if (found !== undefined) url = `nats://${found}`;
      if (line.includes('Server is ready')) resolve(url);
    });
  });
}
