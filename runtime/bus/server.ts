/**
 * The realm's own nats-server, as a child process.
 *
 * V1  It listens on loopback only and asks for a token that only the owner of the data folder can read; or, with
 *     accounts, for a key that they name, over TLS.
 * V2  It never outlives its parent (tether.ts), even when that is ended by SIGKILL.
 * V3  When it dies by itself it is started again on the same port and data; clients reconnect.
 * V4  Two servers never work on one data folder: one that an earlier owner left behind has ended before ours begins.
 * V5  A store that met a full disk takes nothing more, even when there is room again: the server is then started anew.
 * V6  Started again where no port is configured, it takes the port it had, if that is free: nodes that joined it look there.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Logger } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';
import { writePrivateFile } from './file.ts';
import { compareVersions, SERVER_VERSION_MIN } from './server-version.ts';
import { endLeftover, signalGroup, spawnTethered } from './tether.ts';

/** What a realm's own server calls itself. */
export const EMBEDDED_NAME = 'infrafabric';
/** Largest message: the server warns above this, and a commit or a body rarely comes near it. */
export const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024;
/** What may wait for one client before the server drops it as too slow: every shard of a node reads ahead on one connection. */
const MAX_PENDING_BYTES = 256 * 1024 * 1024;
/** The server's own two seconds end clients on a machine that is merely busy. */
export const SIGN_ON_SECONDS = 10;
/** A server with gigabytes to check may take this long before it is ready. */
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const RESTART_FIRST_MS = 100;
const RESTART_MAX_MS = 5_000;
/** A server that ran this long was well: the next restart is immediate again. */
const HEALTHY_AFTER_MS = 10_000;
/** What the server says when its store is of no use any more. */
const STORE_BROKEN = /no space left on device|critical write error|will be DISABLED/i;
const ROOM_CHECK_MS = 500;
/** The largest commit. */
const ROOM_BYTES_MIN = 4 * 1024 * 1024;
const LAST_LINES_MAX = 20;
const PORT_ATTEMPTS_MAX = 3;
/** The disk is the bound; the server's own (three quarters of what is free) would refuse our streams on a small one. */
const FILE_STORE_MAX = '1PB';
/** Written before its server first runs. */
const CONFIG_FILE = 'nats-server.conf';
const PID_FILE = 'nats-server.pid';
/** Beside the config, which includes it. */
export const ACCOUNTS_FILE = 'nats-accounts.conf';

export interface EmbeddedServerOptions {
  readonly dataDir: string;
  /** Path of the nats-server binary. */
  readonly binary: string;
  /** fsync before every acknowledgement. */
  readonly strict: boolean;
  /** 0 or absent: the one it had before, or a free one. */
  readonly port?: number;
  readonly websocketPort?: number;
  /** Who may sign on, in place of the token. */
  readonly secure?: ServerSecurity;
  readonly logger: Logger;
  /** Called once its process runs; it takes connections some time later. */
  readonly begun?: () => void;
}

export interface ServerSecurity {
  /** The `accounts` of the server's config. */
  readonly accounts: string;
  /** Address to listen on; loopback when absent. */
  readonly host?: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export class EmbeddedServer {
  readonly url: string;
  /** Undefined where keys sign on. */
  readonly token: string | undefined;
  readonly websocketUrl: string | undefined;
  readonly #options: EmbeddedServerOptions;
  readonly #config: string;
  #child: ChildProcess | undefined;
  #stopping = false;
  #restartMs = RESTART_FIRST_MS;
  #restartTimer: NodeJS.Timeout | undefined;
  #roomTimer: NodeJS.Timeout | undefined;

  private constructor(options: EmbeddedServerOptions, port: number, websocketPort: number | undefined) {
    this.#options = options;
    this.#config = join(options.dataDir, CONFIG_FILE);
    const { dataDir, secure } = options;
    this.url = `${secure === undefined ? 'nats' : 'tls'}://127.0.0.1:${port}`;
    const websocket = secure === undefined ? 'ws' : 'wss';
    this.websocketUrl = websocketPort === undefined ? undefined : `${websocket}://127.0.0.1:${websocketPort}`;
    this.token = secure === undefined ? readToken(join(dataDir, 'token')) : undefined;
    if (secure !== undefined) writePrivateFile(join(dataDir, ACCOUNTS_FILE), secure.accounts);
    writePrivateFile(this.#config, configText(options, this.token, port, websocketPort));
  }

  /** Starts the server and waits until it takes connections. Throws `server_missing`, `server_too_old`, `server_failed`. */
  static async start(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
    mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
    // A store that is there must not meet an older server.
    const before = configBefore(options.dataDir);
    if (before !== undefined) checkBinary(options.binary);
    // V6. Not asked whether they are free: a server that was left behind has them until ours begins (V4).
    let kept = before === undefined ? {} : portsIn(before);
    for (let attempt = 1; ; attempt++) {
      const port = options.port || kept.port || (await freePort());
      const websocketPort =
        options.websocketPort === 0 ? (kept.websocketPort ?? (await freePort())) : options.websocketPort;
      const server = new EmbeddedServer(options, port, websocketPort);
      try {
        await server.#spawn();
        return server;
      } catch (thrown) {
        await server.stop();
        // Somebody took the free port before the server did, or the one it had.
        kept = {};
        const isOurChoice = port !== options.port || websocketPort !== options.websocketPort;
        const isTaken = isOurChoice && String(thrown).includes('address already in use');
        if (isTaken && attempt < PORT_ATTEMPTS_MAX) continue;
        // A binary of no use says so by failing: asked before, it would cost every start.
        checkBinary(options.binary);
        throw thrown;
      }
    }
  }

  /** Pid of the nats-server itself, as it last said. */
  get pid(): number | undefined {
    const file = join(this.#options.dataDir, PID_FILE);
    const pid = existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : 0;
    return pid > 0 ? pid : undefined;
  }

  /** Puts other accounts in force; the server ends the connections of whoever is in them no more. */
  reload(accounts: string): void {
    writePrivateFile(join(this.#options.dataDir, ACCOUNTS_FILE), accounts);
    // Where none runs at this moment, the next one reads the file.
    if (this.pid !== undefined && this.#child?.exitCode === null) process.kill(this.pid, 'SIGHUP');
  }

  /** SIGTERM, and SIGKILL for a server that does not end. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#roomTimer);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'close');
    child.kill('SIGTERM');
    const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #spawn(): Promise<void> {
    const { binary, logger } = this.#options;
    // V4.
    if (this.pid !== undefined) {
      await endLeftover(this.pid, (line) => line.includes(this.#config), STOP_TIMEOUT_MS);
      if (this.#stopping) return;
    }
    const startedAt = performance.now();
    const child = spawnTethered(binary, ['-c', this.#config]);
    this.#child = child;
    this.#options.begun?.();
    const lines: string[] = [];
    const ready = Promise.withResolvers<void>();
    createInterface({ input: child.stderr as Readable }).on('line', (line) => {
      if (line.includes('Server is ready')) ready.resolve();
      if (/\[(ERR|FTL)\]/.test(line)) logger.warn({ line: line.slice(0, 500) }, 'server_log');
      else if (line.includes('[WRN]')) logger.debug({ line: line.slice(0, 500) }, 'server_log');
      if (STORE_BROKEN.test(line)) this.#reopenWhenRoom();
      lines.push(line);
      if (lines.length > LAST_LINES_MAX) lines.shift();
    });
    child.once('error', (cause) =>
      ready.reject(failed(`nats-server cannot be run: ${cause.message}`, lines, cause)),
    );
    // Not `exit`: the last lines may still be in the pipe then.
    child.once('close', (code, signal) => {
      ready.reject(failed(`nats-server ended with ${signal ?? `code ${code}`}`, lines));
      if (this.#child === child) this.#ended(performance.now() - startedAt, code, signal);
    });
    const timer = setTimeout(
      () => ready.reject(failed('nats-server is not ready in time', lines)),
      READY_TIMEOUT_MS,
    );
    try {
      await ready.promise;
    } catch (thrown) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      throw thrown;
    } finally {
      clearTimeout(timer);
    }
    logger.debug({ ms: Math.round(performance.now() - startedAt) }, 'server_ready');
  }

  /** V5. */
  #reopenWhenRoom(): void {
    if (this.#roomTimer !== undefined || this.#stopping) return;
    this.#roomTimer = setTimeout(() => {
      this.#roomTimer = undefined;
      const { bavail, bsize } = statfsSync(this.#options.dataDir);
      if (bavail * bsize < ROOM_BYTES_MIN) return this.#reopenWhenRoom();
      this.#options.logger.warn({ freeBytes: bavail * bsize }, 'server_reopens_store');
      this.#child?.kill('SIGTERM');
    }, ROOM_CHECK_MS);
  }

  /** V3. */
  #ended(ranMs: number, code: number | null, signal: string | null): void {
    if (this.#stopping) return;
    if (ranMs > HEALTHY_AFTER_MS) this.#restartMs = RESTART_FIRST_MS;
    this.#options.logger.error({ code, signal, restartMs: this.#restartMs }, 'server_died');
    this.#restartTimer = setTimeout(() => {
      this.#spawn().catch((thrown: unknown) => {
        this.#options.logger.error({ error: String(thrown) }, 'server_restart_failed');
      });
    }, this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MAX_MS);
  }
}

function checkBinary(binary: string): void {
  let text: string;
  try {
    text = execFileSync(binary, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (cause) {
    throw new FabricError(busErrors.server_missing, `${binary} cannot be run: ${(cause as Error).message}`, {
      cause,
    });
  }
  const version = /v?(\d+\.\d+\.\d+)/.exec(text)?.[1] ?? '0.0.0';
  if (compareVersions(version, SERVER_VERSION_MIN) < 0) {
    throw new FabricError(
      busErrors.server_too_old,
      `${binary} has version ${version}; ${SERVER_VERSION_MIN} is needed`,
      {
        details: { binary, version },
      },
    );
  }
}

function configBefore(dataDir: string): string | undefined {
  const path = join(dataDir, CONFIG_FILE);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** The ports of a config that {@link configText} wrote. */
function portsIn(config: string): { readonly port?: number; readonly websocketPort?: number } {
  const port = /^listen: "[^"]*:(\d+)"$/m.exec(config)?.[1];
  const websocketPort = /^websocket \{ listen: "[^"]*:(\d+)"$/m.exec(config)?.[1];
  return {
    ...(port !== undefined && { port: Number(port) }),
    ...(websocketPort !== undefined && { websocketPort: Number(websocketPort) }),
  };
}

function readToken(path: string): string {
  if (existsSync(path)) return readFileSync(path, 'utf8').trim();
  const token = randomBytes(32).toString('base64url');
  writePrivateFile(path, `${token}\n`);
  return token;
}

/** JSON strings are valid in the server's config language. */
function configText(
  { dataDir, strict, secure }: EmbeddedServerOptions,
  token: string | undefined,
  port: number,
  websocketPort: number | undefined,
): string {
  const quote = (text: string): string => JSON.stringify(text);
  const host = secure?.host ?? '127.0.0.1';
  const tls =
    secure === undefined
      ? ''
      : `tls { cert_file: ${quote(secure.certFile)}, key_file: ${quote(secure.keyFile)} }\n`;
  const websocket =
    websocketPort === undefined
      ? ''
      : `websocket { listen: "${host}:${websocketPort}"\n${tls === '' ? 'no_tls: true' : tls} }\n`;
  return `listen: "${host}:${port}"
server_name: ${quote(EMBEDDED_NAME)}
pid_file: ${quote(join(dataDir, PID_FILE))}
max_payload: ${MAX_PAYLOAD_BYTES}
max_pending: ${MAX_PENDING_BYTES}
authorization { timeout: ${SIGN_ON_SECONDS}${token === undefined ? '' : `, token: ${quote(token)}`} }
${token === undefined ? `include "./${ACCOUNTS_FILE}"` : ''}
jetstream {
  store_dir: ${quote(join(dataDir, 'jetstream'))}
  max_file_store: ${FILE_STORE_MAX}
  ${strict ? 'sync_interval: always' : ''}
}
${tls}${websocket}`;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

function failed(what: string, lines: readonly string[], cause?: unknown): FabricError {
  return new FabricError(busErrors.server_failed, [what, ...lines.slice(-5)].join('\n'), { cause });
}
