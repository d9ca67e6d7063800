/** A node of a test's own, as a child process: started from a config, killed, paused and started again on its data. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { withToken } from '#runtime/bus/servers';
import { type Client, connect } from '#runtime/client/node';
import type { ClientOptions } from '#runtime/client/types';
import type { NodeStatus, ShowReply } from '#runtime/node/api';
import { apiRequest, nodeStatuses } from '#runtime/node/api';

const BIN = resolve(import.meta.dirname, '../../actors/infrafabric.js');
const TETHER = resolve(import.meta.dirname, 'end-with-parent.ts');
/** A retry of the client is soon enough for a test, and late enough for a loaded machine. */
const ATTEMPT_MS = 400;
const RECONNECT_MS = 25;
const SHARDS_KNOWN_MS = 30_000;
const START_TIMEOUT_MS = 120_000;
const EVENT_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 120_000;
const EVENTS_MAX = 5_000;

/** A line of a node's log or output. */
export interface NodeEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface RealmOptions {
  /** The realm config as data; `realm` and the server's port are added. */
  readonly config: Readonly<Record<string, unknown>>;
  /** A server that runs already: the node joins it, and brings none of its own. */
  readonly server?: { readonly url: string; readonly token: string };
  readonly env?: Readonly<Record<string, string>>;
  /** Holds config and data; outlives the realm where given. */
  readonly folder?: string;
}

/** The node of this process whose coverage counts: what the others run it ran as well, and each pays for being watched. */
let covered: ChildProcess | undefined;

export class TestRealm {
  readonly folder: string;
  readonly #options: RealmOptions;
  readonly #port: number;
  readonly #clients: Client[] = [];
  readonly #waiters = new Set<(event: NodeEvent) => void>();
  /** The newest lines of every process of this realm. */
  readonly events: NodeEvent[] = [];
  #child: ChildProcess | undefined;

  private constructor(options: RealmOptions, folder: string, port: number) {
    this.#options = options;
    this.folder = folder;
    this.#port = port;
  }

  /** Resolves once the node says that it is up. */
  static async start(options: RealmOptions): Promise<TestRealm> {
    const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'if-realm-'));
    const realm = new TestRealm(options, folder, await freePort());
    realm.configure({});
    try {
      await realm.up();
    } catch (thrown) {
      await realm[Symbol.asyncDispose]();
      throw thrown;
    }
    return realm;
  }

  /** Writes the config anew for the next start. */
  configure(changes: Readonly<Record<string, unknown>>): void {
    const { server, config } = this.#options;
    const nats = server === undefined ? { nats: { port: this.#port } } : {};
    // JSON is YAML.
    const text = JSON.stringify({ realm: 'test', ...nats, ...config, ...changes });
    writeFileSync(join(this.folder, 'realm.yaml'), text);
  }

  get dataDir(): string {
    return join(this.folder, 'data');
  }

  get url(): string {
    return this.#options.server?.url ?? `nats://127.0.0.1:${this.#port}`;
  }

  get token(): string {
    return this.#options.server?.token ?? readFileSync(join(this.dataDir, 'token'), 'utf8').trim();
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('the node does not run');
    return pid;
  }

  /** Pid of the realm's own nats-server. */
  get serverPid(): number {
    return Number(readFileSync(join(this.dataDir, 'nats-server.pid'), 'utf8'));
  }

  /** Starts the node's process; resolves with the `up` event. */
  async up(env: Readonly<Record<string, string>> = {}): Promise<NodeEvent> {
    this.launch(env);
    const child = this.#child as ChildProcess;
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`the node ended with ${signal ?? code} before it was up\n${this.tail()}`);
    });
    return await Promise.race([this.event('up', START_TIMEOUT_MS), ended]);
  }

  /** Starts the node's process and waits for nothing. */
  launch(env: Readonly<Record<string, string>> = {}): void {
    const { server } = this.#options;
    const args = ['up', join(this.folder, 'realm.yaml'), '--json'];
    const joining = server === undefined ? [] : ['--join', withToken(server.url, server.token)];
    // One that was killed has written nothing down.
    const counts = covered === undefined || covered.signalCode === 'SIGKILL';
    const child = spawn(process.execPath, ['--import', TETHER, BIN, ...args, ...joining], {
      env: {
        ...process.env,
        INFRAFABRIC_DATA: this.dataDir,
        NODE_COMPILE_CACHE: join(tmpdir(), 'if-compile-cache'),
        NODE_V8_COVERAGE: counts ? process.env['NODE_V8_COVERAGE'] : undefined,
        ...this.#options.env,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    if (counts) covered = child;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream as Readable }).on('line', (line) => this.#hear(line));
    }
  }

  /** The next line with this event name, from now on. */
  async event(name: string, timeoutMs = EVENT_TIMEOUT_MS): Promise<NodeEvent> {
    const found = Promise.withResolvers<NodeEvent>();
    const waiter = (event: NodeEvent): void => {
      if (event.event === name) found.resolve(event);
    };
    this.#waiters.add(waiter);
    const timer = setTimeout(
      () => found.reject(new Error(`no "${name}" within ${timeoutMs} ms\n${this.tail()}`)),
      timeoutMs,
    );
    // An event that nobody awaits any more keeps no process of tests.
    timer.unref();
    try {
      return await found.promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  tail(): string {
    return this.events
      .slice(-15)
      .map((event) => JSON.stringify(event).slice(0, 400))
      .join('\n');
  }

  /** Resolves when the process has gone. */
  async exited(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const tooLate = new AbortController();
    const timer = setTimeout(
      () => tooLate.abort(new Error(`the node still runs\n${this.tail()}`)),
      STOP_TIMEOUT_MS,
    );
    try {
      await once(child, 'exit', { signal: tooLate.signal });
    } catch (thrown) {
      throw tooLate.signal.aborted ? tooLate.signal.reason : thrown;
    } finally {
      clearTimeout(timer);
    }
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** `kill -9`, and waits until it has gone. */
  async kill(): Promise<void> {
    const gone = this.exited();
    this.signal('SIGKILL');
    await gone;
  }

  /** Stops cleanly. */
  async down(): Promise<void> {
    const gone = this.exited();
    if (this.#child?.exitCode === null && this.#child.signalCode === null) this.signal('SIGTERM');
    await gone;
  }

  /** A client that reconnects quickly; closed with the realm. */
  async client(options: ClientOptions = {}): Promise<Client> {
    const client = await connect({
      url: this.url,
      token: this.token,
      attemptMs: ATTEMPT_MS,
      ...options,
      nats: { reconnectTimeWait: RECONNECT_MS, reconnectJitter: 0, maxPingOut: 2, pingInterval: 5_000 },
    });
    this.#clients.push(client);
    // On a crowded machine the answer may come after connecting has ceased to wait for it.
    if (client.shards === undefined) await client.learnShards(SHARDS_KNOWN_MS);
    return client;
  }

  async show(client: Client, shard: number, address: string): Promise<ShowReply> {
    return await apiRequest<ShowReply>(client.connection, `if.api.shard.${shard}.show`, { address });
  }

  async status(client: Client): Promise<NodeStatus[]> {
    return await nodeStatuses(client.connection, 'if.api.status');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close().catch(() => undefined)));
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await gone;
      clearTimeout(timer);
    }
    if (this.#options.folder === undefined)
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #hear(line: string): void {
    let event: NodeEvent;
    try {
      event = JSON.parse(line) as NodeEvent;
    } catch {
      event = { event: 'text', line };
    }
    this.events.push(event);
    if (this.events.length > EVENTS_MAX) this.events.shift();
    for (const waiter of this.#waiters) waiter(event);
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
