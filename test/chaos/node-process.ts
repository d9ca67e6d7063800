/** A node of the realm as a process, behind a proxy of its own and with a clock that can be put off. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TcpProxy } from './tcp-proxy.ts';

const ENTRY = fileURLToPath(new URL('../../actors/infrafabric.js', import.meta.url));
const SKEW = new URL('./skew.ts', import.meta.url).href;
/** As systemd does. */
const RESTART_AFTER_MS = 500;
/** A node that drains longer is killed. */
const TERM_TIMEOUT_MS = 20_000;

export class NodeProcess {
  readonly name: string;
  readonly proxy: TcpProxy;
  readonly #folder: string;
  readonly #config: string;
  #child: ChildProcess | undefined;

  constructor(name: string, proxy: TcpProxy, config: string, folder: string) {
    this.name = name;
    this.proxy = proxy;
    this.#config = config;
    this.#folder = join(folder, name);
    mkdirSync(this.#folder, { recursive: true });
    this.skew(0);
  }

  get dataDir(): string {
    return join(this.#folder, 'data');
  }

  start(): void {
    const log = createWriteStream(join(this.#folder, 'node.log'), { flags: 'a' });
    const { name, dataDir } = this;
    const args = ['up', this.#config, '--data', dataDir, '--name', name, '--join', this.proxy.url, '--json'];
    const child = spawn(process.execPath, [`--import=${SKEW}`, ENTRY, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, CHAOS_SKEW_FILE: this.#skewFile, INFRAFABRIC_LOG: 'info' },
    });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once('exit', (code, signal) => {
      log.end(`ended: ${code ?? signal}\n`);
      // It ended by itself: what keeps services starts it again.
      if (this.#child === child) setTimeout(() => this.#child === child && this.start(), RESTART_AFTER_MS);
    });
    this.#child = child;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Puts its clock off by so many ms. */
  skew(ms: number): void {
    writeFileSync(this.#skewFile, String(ms));
  }

  /** Ends it and waits until it is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), TERM_TIMEOUT_MS);
    await ended;
    clearTimeout(late);
  }

  get #skewFile(): string {
    return join(this.#folder, 'skew');
  }
}
