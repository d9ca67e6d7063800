/** Several nodes of one realm, each a process that joins servers of the benchmark, and a client. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { withToken } from '#runtime/bus/servers';
import { type Client, connect } from '#runtime/client/node';
import { type NodeStatus, nodeStatuses } from '#runtime/node/api';
import { cpuOf, type Measured, startProgram } from './process.ts';
import type { Bus } from './rig.ts';
import type { CpuTimes } from './subject.ts';

const ENTRY = fileURLToPath(new URL('../../actors/infrafabric.js', import.meta.url));
const READY_TIMEOUT_MS = 120_000;
const LOOK_EVERY_MS = 50;
/** Shards that lie as they are for so long have been placed. */
const SETTLED_MS = 1_000;

export interface NodesOptions {
  readonly bus: Bus;
  readonly copies: number;
  readonly shards: number;
  readonly profileDir?: string | undefined;
}

export interface BenchNode {
  readonly name: string;
  readonly program: Measured;
}

export class BenchNodes implements AsyncDisposable {
  readonly #options: NodesOptions;
  readonly #folder: string;
  readonly #nodes: BenchNode[] = [];
  #client: Client | undefined;

  private constructor(options: NodesOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  /** Starts the realm with one node. */
  static async start(options: NodesOptions): Promise<BenchNodes> {
    const folder = await mkdtemp(join(tmpdir(), 'infrafabric-bench-'));
    const nodes = new BenchNodes(options, folder);
    try {
      await writeFile(join(folder, 'bench.yaml'), configOf(options));
      await nodes.add();
      const { servers, token } = options.bus;
      nodes.#client = await connect({
        url: servers.join(','),
        ...(token !== undefined && { token }),
      });
      await nodes.placed();
      await nodes.client.learnShards();
      return nodes;
    } catch (thrown) {
      await nodes[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error('the client is not there yet');
    return this.#client;
  }

  get nodes(): readonly BenchNode[] {
    return this.#nodes;
  }

  cpu(): Promise<CpuTimes> {
    const programs = this.#nodes.map(({ program }) => program);
    return cpuOf(programs, this.#options.bus.pids);
  }

  /** Starts one more; resolves when it is up, with shards or without. */
  async add(name = `node-${this.#nodes.length + 1}`): Promise<BenchNode> {
    const data = join(this.#folder, name);
    await mkdir(data, { recursive: true });
    // What an earlier process under this name left behind says nothing of this one.
    await rm(join(data, 'run.json'), { force: true });
    const { servers, token } = this.#options.bus;
    const args = ['up', join(this.#folder, 'bench.yaml'), '--data', data, '--name', name, '--json'];
    const program = startProgram([ENTRY, ...args], {
      env: { NATS_URL: withToken(servers.join(','), token), INFRAFABRIC_LOG: 'warn' },
      profileDir: this.#options.profileDir,
    });
    const lines: string[] = [];
    program.onLine((line) => void lines.push(line));
    let isOver = false;
    void once(program.child, 'exit').then(() => {
      isOver = true;
    });
    const node = { name, program };
    this.#nodes.push(node);
    for (const until = performance.now() + READY_TIMEOUT_MS; !existsSync(join(data, 'run.json')); ) {
      if (isOver) throw new Error(`${name} ended before it was up: ${lines.slice(-5).join('\n')}`);
      if (performance.now() > until) throw new Error(`${name} is not up in time`);
      await pause(LOOK_EVERY_MS);
    }
    return node;
  }

  /** Ends a node as a crash does; it can be added again under its name. */
  async kill(node: BenchNode): Promise<void> {
    const ended = once(node.program.child, 'exit');
    node.program.child.kill('SIGKILL');
    await ended;
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
  }

  /** Resolves with the shards of each node, once all run and none has moved for a while. */
  async placed(): Promise<ReadonlyMap<string, readonly number[]>> {
    let last = '';
    let since = performance.now();
    for (const until = since + READY_TIMEOUT_MS; performance.now() < until; await pause(LOOK_EVERY_MS)) {
      const statuses = await nodeStatuses(this.client.connection, 'if.api.status').catch(() => []);
      const places = new Map(statuses.map((status) => [status.name ?? status.nodeId, runningOf(status)]));
      const seen = JSON.stringify([...places].sort());
      if (seen !== last) since = performance.now();
      last = seen;
      const count = [...places.values()].flat().length;
      const isWhole = places.size === this.#nodes.length && count === this.#options.shards;
      if (isWhole && performance.now() - since >= SETTLED_MS) return places;
    }
    throw new Error(`The shards are not placed within ${READY_TIMEOUT_MS} ms: ${last}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.close();
    for (const { program } of this.#nodes.toReversed()) await program.end();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function runningOf({ shards }: NodeStatus): readonly number[] {
  return shards.filter(({ phase }) => phase === 'running').map(({ shard }) => shard);
}

function configOf({ shards, copies }: NodesOptions): string {
  const lines = [
    'realm: bench',
    'durability: strict',
    `shards: ${shards}`,
    `nats: { replicas: ${copies} }`,
    // Who joins has its shards at once.
    'limits: { shardStay: 0 }',
    'kinds:',
    '  counter: { machine: counter, spawnOnMessage: true, door: open }',
  ];
  return `${lines.join('\n')}\n`;
}
