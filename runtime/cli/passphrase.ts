/** A passphrase from a terminal without echo, a file or a descriptor; never from arguments or the environment. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { Option } from 'commander';
import { keyErrors } from '#runtime/keys/errors';
import { FabricError } from '#schemas/fabric-error';
import { wholeNumber } from './command.ts';
import { cliErrors } from './errors.ts';
import type { Io } from './io.ts';

/** Longer lines are no passphrase. */
const BYTES_MAX = 4_096;
/** Mode bits by which others than the owner may read a file. */
const OTHERS = 0o077;

export interface PassphraseOptions {
  readonly passphraseFile?: string;
  readonly passphraseFd?: number;
}

export function passphraseOptions(): Option[] {
  return [
    new Option('--passphrase-file <file>', 'its first line is the passphrase; readable by you only'),
    new Option('--passphrase-fd <n>', 'read the passphrase from this open descriptor').argParser(wholeNumber),
  ];
}

/**
 * The passphrase; asked for twice where it is a new one. Throws `passphrase_missing`, `passphrase_differs`,
 * `key_file_open`, `file_unreadable`.
 */
export async function readPassphrase(options: PassphraseOptions, io: Io, isNew: boolean): Promise<string> {
  const { passphraseFile, passphraseFd } = options;
  if (passphraseFile !== undefined) return fromFile(resolve(io.cwd, passphraseFile));
  if (passphraseFd !== undefined) return firstLine(passphraseFd, `descriptor ${passphraseFd}`);
  if (io.stdin.isTTY !== true) throw new FabricError(cliErrors.passphrase_missing, 'There is no passphrase');
  const typed = await hidden('Passphrase: ', io);
  if (isNew && (await hidden('The same again: ', io)) !== typed) {
    throw new FabricError(cliErrors.passphrase_differs, 'The two passphrases differ');
  }
  return typed;
}

function fromFile(file: string): string {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (cause) {
    throw unreadable(file, cause);
  }
  try {
    const info = fstatSync(fd);
    if (info.isFile() && (info.mode & OTHERS) !== 0) {
      throw new FabricError(keyErrors.key_file_open, `Others than its owner may read ${file}`, {
        details: { file },
      });
    }
    return firstLine(fd, file);
  } finally {
    closeSync(fd);
  }
}

function firstLine(fd: number, source: string): string {
  const bytes = Buffer.alloc(BYTES_MAX);
  let length = 0;
  try {
    for (let read = -1; read !== 0 && length < BYTES_MAX; length += read) {
      read = readSync(fd, bytes, length, BYTES_MAX - length, null);
    }
  } catch (cause) {
    throw unreadable(source, cause);
  }
  const [line = ''] = bytes.toString('utf8', 0, length).split(/\r?\n/, 1);
  bytes.fill(0);
  if (line === '') throw new FabricError(cliErrors.passphrase_missing, `${source} holds no passphrase`);
  return line;
}

function unreadable(source: string, cause: unknown): FabricError {
  return new FabricError(cliErrors.file_unreadable, `${source} cannot be read`, { cause });
}

/** A line that is typed and not shown. */
async function hidden(prompt: string, io: Io): Promise<string> {
  io.stderr.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const line = createInterface({ input: io.stdin, output: nowhere, terminal: true, historySize: 0 });
  try {
    return await new Promise<string>((done, failed) => {
      const stop = (): void => failed(io.signal.aborted ? io.signal.reason : missing());
      line.once('line', done).once('close', stop).once('SIGINT', stop);
      io.signal.addEventListener('abort', stop, { once: true });
    });
  } finally {
    line.close();
    io.stderr.write('\n');
  }
}

function missing(): FabricError {
  return new FabricError(cliErrors.passphrase_missing, 'No passphrase was typed');
}
