/** WASI without a system behind it, by the names under which generated code imports it. */
import { noWasi } from '../../world/no-wasi.ts';
import { seededRandom } from '../../world/random.ts';

const wasi = noWasi({ random: seededRandom(0n), now: 0, pay: () => undefined, write: () => undefined });

export const environment = wasi['wasi:cli/environment'];
export const exit = wasi['wasi:cli/exit'];
export const stdin = wasi['wasi:cli/stdin'];
export const stdout = wasi['wasi:cli/stdout'];
export const stderr = wasi['wasi:cli/stderr'];
export const terminalInput = wasi['wasi:cli/terminal-input'];
export const terminalOutput = wasi['wasi:cli/terminal-output'];
export const terminalStdin = wasi['wasi:cli/terminal-stdin'];
export const terminalStdout = wasi['wasi:cli/terminal-stdout'];
export const terminalStderr = wasi['wasi:cli/terminal-stderr'];
export const preopens = wasi['wasi:filesystem/preopens'];
export const types = wasi['wasi:filesystem/types'];
export const error = wasi['wasi:io/error'];
export const streams = wasi['wasi:io/streams'];
export const random = wasi['wasi:random/random'];
