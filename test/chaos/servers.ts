/** Real nats-servers with JetStream, one alone or a cluster, each a process that can be killed, stopped and restarted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { locateServer } from '#runtime/node/locate-server';
import { freePort } from '../rig/realm.ts';
import { SmallDisk } from './small-disk.ts';

const READY_TIMEOUT_MS = 20_000;
const LOOK_EVERY_MS = 20;

export class NatsProcess {
  readonly name: string;
  readonly port: number;
  readonly folder: string;
  /** Where it stores, if that can be filled up. */
  readonly disk: SmallDisk | undefined;
  readonly #binary: string;
  #child: ChildProcess | undefined;

  constructor(name: string, port: number, folder: string, binary: string, disk: SmallDisk | undefined) {
    this.disk = disk;
    this.name = name;
    this.port = port;
    this.folder = folder;
    this.#binary = binary;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    const log = createWriteStream(join(this.folder, 'server.log'), { flags: 'a' });
    const child = spawn(this.#binary, ['-c', join(this.folder, 'server.conf')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once('exit', () => log.end());
    this.#child = child;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends it and waits until it is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  }

  /** Ends it for good, and lets go of its disk. */
  async close(): Promise<void> {
    await this.end('SIGKILL');
    this.disk?.[Symbol.dispose]();
  }

  async isReachable(): Promise<boolean> {
    const socket = connect({ port: this.port, host: '127.0.0.1' });
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(500) });
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }
}

/** Starts `count` servers that sync every write; a cluster where there is more than one. */
export async function startServers(count: number, folder: string): Promise<NatsProcess[]> {
  const binary = await locateServer(process.env);
  const ports = await freePorts(count * 2);
  const routes = ports.slice(count);
  const servers = Array.from({ length: count }, (_, n) => {
    const name = `s${n + 1}`;
    const home = join(folder, name);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'server.conf'), configOf(name, ports[n] ?? 0, routes, n, home));
    // One of them is enough.
    const disk = n === count - 1 ? SmallDisk.mount(join(home, 'store')) : undefined;
    return new NatsProcess(name, ports[n] ?? 0, home, binary, disk);
  });
  for (const server of servers) server.start();
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (const server of servers) {
    while (!(await server.isReachable())) {
      if (Date.now() > deadline) throw new Error(`${server.name} was not up within ${READY_TIMEOUT_MS} ms`);
      await pause(LOOK_EVERY_MS);
    }
  }
  return servers;
}

function configOf(name: string, port: number, routes: readonly number[], n: number, home: string): string {
  const lines = [
    `server_name: ${name}`,
    `listen: 127.0.0.1:${port}`,
    `jetstream { store_dir: ${JSON.stringify(join(home, 'store'))}, sync_interval: always }`,
  ];
  if (routes.length > 1) {
    const urls = routes.map((route) => `nats://127.0.0.1:${route}`).join(', ');
    // Clients learn of no server but the proxy they came through.
    lines.push(
      `cluster { name: chaos, listen: 127.0.0.1:${routes[n]}, no_advertise: true, routes: [${urls}] }`,
    );
  }
  return `${lines.join('\n')}\n`;
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
