/**
 * The nats-servers of a cluster on one machine, as child processes: loopback only, a folder each.
 *
 * K1  What was planned stays: names, ports and passwords are kept in the folder, so that a restart finds peers and data.
 * K2  No server outlives its parent, and none begins on a folder in which an earlier one still runs.
 * K3  A server that ended stays away until it is started again: who watches decides when.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { jetstreamManager, StorageType } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connectBus } from '#runtime/bus/connection';
import { writePrivateFile } from '#runtime/bus/file';
import { endLeftover, signalGroup, spawnTethered } from '#runtime/bus/tether';
import type { Logger } from '#runtime/shard/ports';
import { type ClusterPlan, configText, type ServerPlan } from './server-config.ts';

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;
const RETRY_MS = 50;
const LAST_LINES_MAX = 20;

export interface ClusterServersOptions {
  readonly plan: ClusterPlan;
  /** Path of the nats-server binary. */
  readonly binary: string;
  readonly logger: Logger;
  /** Called when a server ended without having been asked to through `stop`. */
  readonly onEnd?: (server: ClusterServer, how: string) => void;
}

export class ClusterServer {
  readonly plan: ServerPlan;
  readonly #options: ClusterServersOptions;
  #child: ChildProcess | undefined;
  #lines: string[] = [];

  constructor(plan: ServerPlan, options: ClusterServersOptions) {
    this.plan = plan;
    this.#options = options;
  }

  get name(): string {
    return this.plan.name;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.plan.port}`;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Pid of the nats-server itself; absent while it does not run. */
  get pid(): number | undefined {
    return this.isRunning ? this.#lastPid() : undefined;
  }

  /** Resolves when it takes connections; its cluster may still look for a leader. */
  async start(): Promise<void> {
    if (this.isRunning) return;
    const { plan, binary, logger, onEnd } = this.#options;
    const config = `${this.plan.folder}/nats-server.conf`;
    writePrivateFile(config, configText(plan, this.plan));
    const leftover = this.#lastPid();
    // K2
    if (leftover !== undefined) {
      await endLeftover(leftover, (line) => line.includes(config), STOP_TIMEOUT_MS);
    }
    const child = spawnTethered(binary, ['-c', config]);
    this.#child = child;
    this.#lines = [];
    const ready = Promise.withResolvers<void>();
    createInterface({ input: child.stderr as Readable }).on('line', (line) => {
      if (line.includes('Server is ready')) ready.resolve();
      if (/\[(ERR|FTL)\]/.test(line)) logger.warn({ server: this.name, line }, 'server_log');
      this.#lines.push(line);
      if (this.#lines.length > LAST_LINES_MAX) this.#lines.shift();
    });
    child.once('error', ready.reject);
    child.once('close', (code, signal) => {
      const how = signal ?? `code ${code}`;
      ready.reject(new Error([`${this.name} ended with ${how}`, ...this.#lines.slice(-5)].join('\n')));
      if (this.#child === child) onEnd?.(this, how);
    });
    const timer = setTimeout(
      () => ready.reject(new Error(`${this.name} is not ready in time`)),
      READY_TIMEOUT_MS,
    );
    try {
      await ready.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends a signal to the nats-server itself. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid === undefined) throw new Error(`${this.name} does not run`);
    process.kill(pid, signal);
  }

  /** Resolves when its process has gone. */
  async ended(): Promise<void> {
    if (this.#child !== undefined && this.isRunning) await once(this.#child, 'close');
  }

  /** SIGTERM, and SIGKILL for a server that does not end; one that was paused goes on for it. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    this.#child = undefined;
    const ended = once(child, 'close');
    signalGroup(child, 'SIGCONT');
    child.kill('SIGTERM');
    const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  #lastPid(): number | undefined {
    const file = `${this.plan.folder}/nats-server.pid`;
    const pid = existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : 0;
    return pid > 0 ? pid : undefined;
  }
}

export class ClusterServers {
  readonly servers: readonly ClusterServer[];
  readonly plan: ClusterPlan;
  readonly #options: ClusterServersOptions;

  private constructor(options: ClusterServersOptions) {
    this.plan = options.plan;
    this.#options = options;
    this.servers = options.plan.servers.map((server) => new ClusterServer(server, options));
  }

  /** Starts all servers and waits until a stream can have a copy on each. */
  static async start(options: ClusterServersOptions): Promise<ClusterServers> {
    const cluster = new ClusterServers(options);
    try {
      await Promise.all(cluster.servers.map((server) => server.start()));
      await cluster.#formed();
      return cluster;
    } catch (thrown) {
      await cluster.stop();
      throw thrown;
    }
  }

  /** The addresses of all servers, in one text as `--join` takes it, with the token. */
  get join(): string {
    return this.plan.servers.map(({ port }) => `nats://${this.plan.token}@127.0.0.1:${port}`).join(',');
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** A server knows of its peers only some time after it is ready: a stream of the size of the cluster is the proof. */
  async #formed(): Promise<void> {
    await using bus = await this.#connect();
    const jsm = await jetstreamManager(bus.nc, { checkAPI: false, timeout: 2_000 });
    const name = `formed-${process.pid}`;
    const replicas = this.servers.length;
    for (const until = performance.now() + READY_TIMEOUT_MS; ; await pause(RETRY_MS)) {
      try {
        await jsm.streams.add({
          name,
          subjects: [name],
          num_replicas: replicas,
          storage: StorageType.Memory,
        });
        break;
      } catch (thrown) {
        if (performance.now() > until) throw thrown;
      }
    }
    await jsm.streams.delete(name);
  }

  async #connect(): Promise<AsyncDisposable & { readonly nc: NatsConnection }> {
    const { logger, plan } = this.#options;
    const [first] = this.servers;
    if (first === undefined) throw new Error('a cluster has servers');
    const nc = await connectBus({ url: first.url, token: plan.token, name: 'cluster', logger });
    return { nc, [Symbol.asyncDispose]: () => nc.close() };
  }
}
