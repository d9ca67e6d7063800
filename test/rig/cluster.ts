/** Real nats-servers as one cluster of a test's own: free ports, a temporary folder, ended with the test process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type JetStreamManager, jetstreamManager, type StreamInfo } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connectBus } from '#runtime/bus/connection';
import { locateServer } from '#runtime/node/locate-server';
import type { Logger } from '#runtime/shard/ports';
import { planCluster } from '../../deploy/cluster/plan.ts';
import { type ClusterServer, ClusterServers } from '../../deploy/cluster/servers.ts';
import { silentLogger } from './nats.ts';

const POLL_MS = 50;

export interface TestClusterOptions {
  /** 3 when absent. */
  readonly servers?: number;
  /** Outlives the cluster; a temporary one when absent. */
  readonly dir?: string;
  /** fsync before every acknowledgement; off unless a test is about it. */
  readonly strict?: boolean;
  readonly logger?: Logger;
}

export async function startCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'if-cluster-'));
  const plan = await planCluster({
    folder: dir,
    servers: options.servers ?? 3,
    strict: options.strict === true,
  });
  const logger = options.logger ?? silentLogger;
  const cluster = await ClusterServers.start({ plan, binary: await locateServer(process.env), logger });
  return new TestCluster(cluster, dir, options.dir === undefined);
}

export class TestCluster {
  readonly dir: string;
  readonly #cluster: ClusterServers;
  readonly #ownFolder: boolean;
  readonly #connections: NatsConnection[] = [];

  constructor(cluster: ClusterServers, dir: string, ownFolder: boolean) {
    this.#cluster = cluster;
    this.dir = dir;
    this.#ownFolder = ownFolder;
  }

  get servers(): readonly ClusterServer[] {
    return this.#cluster.servers;
  }

  /** Without the token. */
  get urls(): readonly string[] {
    return this.servers.map(({ url }) => url);
  }

  get token(): string {
    return this.#cluster.plan.token;
  }

  /** For `--join`: all servers with the token, separated by commas. */
  get join(): string {
    return this.#cluster.join;
  }

  /** The index of the server with this name, as stream infos tell it. */
  indexOf(name: string): number {
    return this.servers.findIndex((server) => server.name === name);
  }

  /** Signals server `i`. After SIGKILL and SIGTERM it waits until the process has gone; it stays away (K3). */
  async kill(i: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const server = this.#server(i);
    const isEnd = signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT';
    const ended = isEnd ? server.ended() : undefined;
    server.signal(signal);
    await ended;
  }

  /** Starts server `i` again on its ports and data; one that runs is stopped first. */
  async restart(i: number): Promise<void> {
    const server = this.#server(i);
    await server.stop();
    await server.start();
  }

  /** A connection to all servers, or to those given; closed with the cluster. */
  async connect(urls: readonly string[] = this.urls): Promise<NatsConnection> {
    const nc = await connectBus({
      url: urls.join(','),
      token: this.token,
      name: 'test',
      logger: silentLogger,
    });
    this.#connections.push(nc);
    return nc;
  }

  /** Resolves when every stream has a leader and all its followers are there and current. */
  async healthy(nc: NatsConnection, timeoutMs = 120_000): Promise<void> {
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    for (const until = performance.now() + timeoutMs; ; await pause(POLL_MS)) {
      const streams = await infos(jsm);
      if (streams?.every(isCurrent) === true) return;
      if (performance.now() > until) throw new Error('the cluster is not whole in time');
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#connections.map((nc) => nc.close()));
    await this.#cluster.stop();
    if (this.#ownFolder) rmSync(this.dir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #server(i: number): ClusterServer {
    const server = this.servers[i];
    if (server === undefined) throw new Error(`the cluster has no server ${i}`);
    return server;
  }
}

/** Nothing while no leader answers. */
async function infos(jsm: JetStreamManager): Promise<readonly StreamInfo[] | undefined> {
  const found: StreamInfo[] = [];
  try {
    for await (const info of jsm.streams.list()) found.push(info);
  } catch {
    return undefined;
  }
  return found;
}

function isCurrent({ config, cluster }: StreamInfo): boolean {
  const followers = cluster?.replicas ?? [];
  return (
    cluster?.leader !== undefined &&
    followers.length === config.num_replicas - 1 &&
    followers.every(({ current, offline }) => current && offline !== true)
  );
}
