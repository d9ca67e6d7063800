/** A headless Chromium of a test's own, driven over the DevTools protocol; ended by its pid. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const START_TIMEOUT_MS = 60_000;

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** The command that starts it; undefined where there is none. */
export function findChromium(): string | undefined {
  return NAMES.find((name) => spawnSync(name, ['--version']).status === 0);
}

export class Chromium {
  readonly #child: ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #open = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  #next = 1;

  private constructor(child: ChildProcess, socket: WebSocket, profile: string) {
    this.#child = child;
    this.#socket = socket;
    this.#profile = profile;
    socket.addEventListener('message', ({ data }) => this.#take(JSON.parse(String(data)) as Reply));
  }

  static async start(command: string): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), 'if-chromium-'));
    const child = spawn(
      command,
      [
        '--headless=new',
        // Tests may run as root, in a container that is the sandbox.
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--remote-debugging-port=0',
        `--user-data-dir=${profile}`,
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: profile } },
    );
    try {
      const socket = new WebSocket(await addressOf(child.stderr));
      await once(socket, 'open');
      return new Chromium(child, socket, profile);
    } catch (thrown) {
      child.kill('SIGKILL');
      rmSync(profile, { recursive: true, force: true });
      throw thrown;
    }
  }

  /** Opens a page and gives its session, once it is loaded. */
  async page(url: string): Promise<string> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const session = String(sessionId);
    // Answered once the page is there, in the place of the blank one, which counts as loaded too.
    await this.send('Page.navigate', { url }, session);
    const isLoaded = "document.readyState === 'complete'";
    await this.evaluate(
      session,
      `${isLoaded} || new Promise((done) => addEventListener('load', () => done(true)))`,
    );
    return session;
  }

  /** The value of an expression in a page; promises are awaited. */
  async evaluate(session: string, expression: string): Promise<unknown> {
    const parameters = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', parameters, session);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value?: unknown }).value;
  }

  /** Gives a file input its file, as a person would by choosing it. */
  async chooseFile(session: string, selector: string, file: string): Promise<void> {
    const { root } = await this.send('DOM.getDocument', {}, session);
    const { nodeId } = await this.send(
      'DOM.querySelector',
      { nodeId: (root as { nodeId: number }).nodeId, selector },
      session,
    );
    await this.send('DOM.setFileInputFiles', { nodeId, files: [file] }, session);
  }

  async send(method: string, params: object, sessionId?: string): Promise<Record<string, unknown>> {
    const id = this.#next++;
    const reply = Promise.withResolvers<Record<string, unknown>>();
    this.#open.set(id, reply);
    this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) }));
    return await reply.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    if (this.#child.exitCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #take({ id, result, error }: Reply): void {
    const open = id === undefined ? undefined : this.#open.get(id);
    if (id === undefined || open === undefined) return;
    this.#open.delete(id);
    if (error === undefined) open.resolve(result ?? {});
    else open.reject(new Error(error.message));
  }
}

async function addressOf(stderr: Readable): Promise<string> {
  const late = setTimeout(() => stderr.destroy(new Error('Chromium named no address')), START_TIMEOUT_MS);
  try {
    for await (const line of createInterface({ input: stderr })) {
      const found = /DevTools listening on (ws:\S+)/.exec(line)?.[1];
      if (found !== undefined) return found;
    }
    throw new Error('Chromium ended before it named its address');
  } finally {
    clearTimeout(late);
  }
}
