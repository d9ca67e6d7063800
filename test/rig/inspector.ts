/** The MCP inspector's command line, as people try a server with it. */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { installDependencies } from '#deploy/bootstrap/dependencies';

const FOLDER = resolve('test/inspector');
const PROGRAM = resolve(
  FOLDER,
  'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js',
);
const TIMEOUT_MS = 60_000;

export interface Inspected {
  /** 0, or 5 where a tool answered with an error. */
  readonly code: number;
  /** What it printed, which is JSON. */
  readonly said: Record<string, unknown>;
  readonly err: string;
}

export class Inspector {
  readonly #home: string;

  private constructor(home: string) {
    this.#home = home;
  }

  /** Installs it where it is not yet. Its own settings are kept in `home`. */
  static async install(home: string): Promise<Inspector> {
    await installDependencies(FOLDER);
    return new Inspector(home);
  }

  /** Runs one method of the server that `target` names: a command with arguments, or a URL with options. */
  run(target: readonly string[], method: string, options: readonly string[] = []): Promise<Inspected> {
    const args = [PROGRAM, '--cli', ...target, '--method', method, ...options];
    const env = { PATH: process.env['PATH'], HOME: this.#home, NO_COLOR: '1' };
    return new Promise((done, fail) => {
      execFile(process.execPath, args, { env, timeout: TIMEOUT_MS }, (error, out, err) => {
        const code = error === null ? 0 : error.code;
        if (typeof code !== 'number' || out === '') fail(new Error(`${method} ${code}: ${out}\n${err}`));
        else done({ code, said: JSON.parse(out) as Record<string, unknown>, err });
      });
    });
  }
}
