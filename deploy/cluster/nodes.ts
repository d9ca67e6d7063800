/** Nodes of a realm on this machine, as child processes that join a cluster and end with us. Their logs are files. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { spawnTethered } from '#runtime/bus/tether';
import { readRun } from '#runtime/cli/locate';

const ENTRY = resolve(import.meta.dirname, '../../actors/infrafabric.js');
const READY_TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 50;
/** Runs a command with its output in a file. */
const LOGGED = 'exec >>"$0" 2>&1; exec "$@"';

export interface NodeOptions {
  readonly name: string;
  readonly folder: string;
  readonly config: string;
  /** Called when the node ended without having been asked to through `stop`. */
  readonly onEnd: (node: ClusterNode) => void;
}

export class ClusterNode {
  readonly name: string;
  readonly folder: string;
  readonly #options: NodeOptions;
  #child: ChildProcess | undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.folder = options.folder;
  }

  get log(): string {
    return join(this.folder, 'node.log');
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Pid of the node itself; absent until it answers. */
  get pid(): number | undefined {
    return this.isRunning ? readRun(this.folder)?.pid : undefined;
  }

  /** Resolves when it answers. It joins the servers that NATS_URL names: arguments would show their token. */
  async start(): Promise<void> {
    const { config, name, folder, onEnd } = this.#options;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const command = [process.execPath, ENTRY, 'up', config, '--json', '--data', folder, '--name', name];
    const child = spawnTethered('/bin/sh', ['-c', LOGGED, this.log, ...command]);
    this.#child = child;
    child.once('close', () => {
      if (this.#child === child) onEnd(this);
    });
    for (const until = performance.now() + READY_TIMEOUT_MS; this.pid === undefined; ) {
      if (!this.isRunning) throw new Error(`${name} ended before it was up; its log is ${this.log}`);
      if (performance.now() > until) throw new Error(`${name} is not up in time; its log is ${this.log}`);
      await pause(LOOK_EVERY_MS);
    }
  }

  /** It gives its shards away before it ends. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    this.#child = undefined;
    const ended = once(child, 'close');
    child.kill('SIGTERM');
    await ended;
  }
}
