/** The command line as a user has it, in a folder of the test's own: nodes and lines of shell as processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { distribution } from '#actors/distribution';
import { main } from '#runtime/cli/main';

const ENTRY = resolve('actors/infrafabric.js');
/** A command that takes longer hangs: a machine that has just installed its packages writes slowly for a while. */
const COMMAND_TIMEOUT_MS = 120_000;
/** What surrounds the test run must not name another realm. */
const FOREIGN = [
  'NATS_URL',
  'INFRAFABRIC_DATA',
  'INFRAFABRIC_PREFIX',
  'INFRAFABRIC_LOG',
  'INFRAFABRIC_AS',
  'INFRAFABRIC_SESSION',
  'npm_command',
];

export interface Ended {
  /** Exit code, or the signal that ended it. */
  readonly code: number | NodeJS.Signals;
  readonly out: string;
  readonly err: string;
}

/** A process under way, with what it wrote so far. */
export class Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  #out = '';
  #err = '';
  readonly #listeners = new Set<() => void>();

  constructor(child: ChildProcess, input: string | undefined) {
    this.process = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#add('out', text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#add('err', text));
    child.stdin?.on('error', () => undefined).end(input ?? '');
    this.ended = new Promise((done, failed) => {
      child.once('error', failed);
      child.once('close', (code, signal) => {
        this.#tell();
        done({ code: code ?? signal ?? -1, out: this.#out, err: this.#err });
      });
    });
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  get out(): string {
    return this.#out;
  }

  /** Resolves once stdout matches. Rejects when the process ends before. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#out)) {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`ended before ${pattern}:\n${this.#out}\n${this.#err}`);
      }
      await new Promise<void>((heard) => this.#listeners.add(heard));
    }
  }

  #add(to: 'out' | 'err', text: string): void {
    if (to === 'out') this.#out += text;
    else this.#err += text;
    this.#tell();
  }

  #tell(): void {
    for (const heard of this.#listeners) heard();
    this.#listeners.clear();
  }
}

/** A folder with commands run in it; whatever still runs is ended with it. */
export class CliFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'if-e2e-'));
  readonly #env: NodeJS.ProcessEnv;
  readonly #running = new Set<Running>();

  constructor(env: NodeJS.ProcessEnv = {}) {
    const inherited = Object.entries(process.env).filter(([name]) => !FOREIGN.includes(name));
    // Coverage of these processes would only cost time: what runs within the test, and the nodes of realm.ts, have it.
    this.#env = { ...Object.fromEntries(inherited), NO_COLOR: '1', NODE_V8_COVERAGE: undefined, ...env };
  }

  /**
   * Runs `infrafabric …` to its end: within this process, which saves most of its time, but for an `up` that is the
   * node itself. `cwd` is a folder below this one.
   */
  async run(args: readonly string[], input = '', cwd = '.'): Promise<Ended> {
    const isNode = args[0] === 'up' && !args.some((arg) => arg === '-d' || arg === '--detach');
    if (isNode) return this.#toItsEnd(this.start(args, input));
    const written = { out: '', err: '' };
    const sink = (key: 'out' | 'err'): Writable =>
      new Writable({
        write(chunk, _, done) {
          written[key] += String(chunk);
          done();
        },
      });
    const code = await main(args, distribution, {
      stdin: Readable.from(input === '' ? [] : [input]),
      stdout: sink('out'),
      stderr: sink('err'),
      env: this.#env,
      cwd: join(this.path, cwd),
      self: [process.execPath, ENTRY, ...args],
      signal: AbortSignal.timeout(COMMAND_TIMEOUT_MS),
    });
    return { code, ...written };
  }

  /** Starts `infrafabric …` as a process. */
  start(args: readonly string[], input?: string): Running {
    return this.#start(process.execPath, [ENTRY, ...args], input);
  }

  /** Runs shell; `infrafabric` and `npx infrafabric` are this checkout's, `node` is the one that runs the tests. */
  shell(text: string): Promise<Ended> {
    return this.#toItsEnd(this.startShell(text));
  }

  /** The last line is what a signal reaches. */
  startShell(text: string): Running {
    const bin = join(this.path, '.bin');
    mkdirSync(bin, { recursive: true });
    const script = `#!/bin/sh\nexec '${process.execPath}' '${ENTRY}' "$@"\n`;
    writeFileSync(join(bin, 'infrafabric'), script, { mode: 0o755 });
    writeFileSync(join(bin, 'npx'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
    const paths = [bin, dirname(process.execPath), this.#env['PATH'] ?? ''].join(delimiter);
    return this.#start('bash', ['-c', `PATH='${paths}'\n${text}`], undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running) running.process.kill('SIGKILL');
    await Promise.allSettled([...this.#running].map(({ ended }) => ended));
    for (const file of globSync('{,*/,deploy/examples/}.infrafabric/*/run.json', { cwd: this.path })) {
      endDetached(join(this.path, file));
    }
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  async #toItsEnd(running: Running): Promise<Ended> {
    const timer = setTimeout(() => running.process.kill('SIGKILL'), COMMAND_TIMEOUT_MS);
    try {
      return await running.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  #start(program: string, args: readonly string[], input: string | undefined): Running {
    const child = spawn(program, args, { cwd: this.path, env: this.#env, stdio: 'pipe' });
    const running = new Running(child, input);
    this.#running.add(running);
    const forget = (): boolean => this.#running.delete(running);
    running.ended.then(forget, forget);
    return running;
  }
}

/** A test that failed half-way may leave a node in the background. */
function endDetached(runFile: string): void {
  const { pid } = JSON.parse(readFileSync(runFile, 'utf8')) as { pid: number };
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
