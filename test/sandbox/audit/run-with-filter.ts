/** Runs a program behind a seccomp filter and gives what it wrote, or how it was ended. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';

const TIMEOUT_MS = 30_000;

export async function runWithFilter(
  file: string,
  args: readonly string[],
  filter: Uint8Array,
): Promise<string> {
  const child = spawn(file, [...args], {
    env: {},
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const three = child.stdio[3] as Writable;
  three.on('error', () => undefined);
  three.end(filter);
  const ended = once(child, 'exit');
  const said = child.stdout === null ? '' : await text(child.stdout);
  const [code, signal] = await ended;
  return said || `ended: ${signal ?? code}`;
}
