/** Child processes of the bootstrap: bounded, quiet unless they fail. */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

const tailLines = 6;

/**
 * Runs a program to its end and resolves to its standard output.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, timeoutMs: number }} options
 * @returns {Promise<string>}
 * @throws {Error} with the last lines the program wrote, when it fails or takes longer than `timeoutMs`
 */
export function run(program, args, { cwd, env, timeoutMs }) {
  return new Promise((resolve, reject) => {
    const options = { cwd, env, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024, encoding: 'utf8' };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(String(stdout));
      const why = error.killed ? `took longer than ${timeoutMs / 1000} s` : (error.code ?? error.signal);
      const tail = `${stdout}\n${stderr}`.trim().split('\n').slice(-tailLines).join('\n  ');
      reject(new Error(`${program} ${args.at(-1) ?? ''}: ${why}${tail === '' ? '' : `\n  ${tail}`}`));
    });
  });
}

/**
 * Every executable of that name in a PATH-like list, in its order.
 * @param {string} name
 * @param {string | undefined} path
 * @returns {Promise<string[]>}
 */
export async function which(name, path) {
  const found = [];
  for (const folder of (path ?? '').split(delimiter)) {
    if (!isAbsolute(folder)) continue;
    const file = join(folder, name);
    if (await isExecutable(file)) found.push(file);
  }
  return found;
}

/** @param {string} file */
export async function isExecutable(file) {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
