/** Runs a program that takes bytes on descriptor 3, and says how it ended. */
import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

/** Last characters of what it wrote. */
const STDERR_CHARS_MAX = 1_000;

export async function runToEnd(
  file: string,
  args: readonly string[],
  onThree: Uint8Array | undefined,
  timeoutMs: number,
): Promise<{ readonly code: number | string; readonly stderr: string }> {
  const child = spawn(file, [...args], {
    env: {},
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-STDERR_CHARS_MAX);
  });
  const three = child.stdio[3] as Writable;
  // It may end without reading them; its exit code says so.
  three.on('error', () => undefined);
  three.end(onThree);
  return await new Promise((resolve) => {
    child.once('error', ({ message }) => resolve({ code: message, stderr }));
    child.once('close', (code, signal) => resolve({ code: code ?? signal ?? 'nothing', stderr }));
  });
}
