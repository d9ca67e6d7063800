/** A real nats-server of a test's own: free port, temporary folder, ended with the test or with the test process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/nats-core';
import { connectBus } from '#runtime/bus/connection';
import { EmbeddedServer } from '#runtime/bus/server';
import { locateServer } from '#runtime/node/locate-server';
import type { Logger } from '#runtime/shard/ports';

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export interface TestServerOptions {
  /** fsync before every acknowledgement; off unless a test is about it. */
  readonly strict?: boolean;
  readonly port?: number;
  readonly websocketPort?: number;
  /** A folder of the test's own that outlives the server. */
  readonly dataDir?: string;
  readonly logger?: Logger;
}

export class TestServer {
  readonly dataDir: string;
  readonly #ownFolder: boolean;
  readonly #options: TestServerOptions;
  readonly #connections: NatsConnection[] = [];
  #server: EmbeddedServer;

  private constructor(
    server: EmbeddedServer,
    dataDir: string,
    ownFolder: boolean,
    options: TestServerOptions,
  ) {
    this.#server = server;
    this.dataDir = dataDir;
    this.#ownFolder = ownFolder;
    this.#options = options;
  }

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'if-nats-'));
    return new TestServer(
      await startEmbedded(dataDir, options),
      dataDir,
      options.dataDir === undefined,
      options,
    );
  }

  get url(): string {
    return this.#server.url;
  }

  get token(): string {
    return this.#server.token ?? '';
  }

  get websocketUrl(): string | undefined {
    return this.#server.websocketUrl;
  }

  /** Pid of the nats-server itself. */
  get pid(): number {
    const { pid } = this.#server;
    if (pid === undefined) throw new Error('the server does not run');
    return pid;
  }

  /** A connection that is closed with the server. */
  async connect(name = 'test', logger: Logger = silentLogger): Promise<NatsConnection> {
    const nc = await connectBus({ url: this.url, token: this.token, name, logger });
    this.#connections.push(nc);
    return nc;
  }

  /** `kill -9`: the server comes back by itself on the same port and data. */
  kill(): void {
    process.kill(this.pid, 'SIGKILL');
  }

  /** Ends the server until `restart`. */
  async stop(): Promise<void> {
    await this.#server.stop();
  }

  /** Starts a stopped server again on the same port and data. */
  async restart(): Promise<void> {
    const port = Number(new URL(this.url).port);
    this.#server = await startEmbedded(this.dataDir, { ...this.#options, port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#connections.map((nc) => nc.close()));
    await this.#server.stop();
    if (this.#ownFolder) rmSync(this.dataDir, { recursive: true, force: true });
  }
}

async function startEmbedded(dataDir: string, options: TestServerOptions): Promise<EmbeddedServer> {
  return await EmbeddedServer.start({
    dataDir,
    binary: await locateServer(process.env),
    strict: options.strict === true,
    logger: options.logger ?? silentLogger,
    ...(options.port !== undefined && { port: options.port }),
    ...(options.websocketPort !== undefined && { websocketPort: options.websocketPort }),
  });
}
