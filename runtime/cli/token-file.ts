/** The token of a door on loopback, in a file: made where there is none; only its owner reads it. */
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { writePrivateFile } from '#runtime/bus/file';
import { FabricError } from '#schemas/fabric-error';
import { cliErrors } from './errors.ts';

const TOKEN_BYTES = 24;
/** Mode bits by which others than the owner may read or write a file. */
const OTHERS = 0o077;
/** What a header carries, and long enough that nobody guesses it. */
const TOKEN = /^[\x21-\x7e]{16,512}$/;

/** Throws `token_file_open`, `token_file_bad`, `file_unreadable`. */
export function tokenIn(file: string): string {
  const text = existsSync(file) ? privateText(file) : made(file);
  if (TOKEN.test(text)) return text;
  throw new FabricError(cliErrors.token_file_bad, `${file} holds no token`, { details: { file } });
}

function made(file: string): string {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  try {
    writePrivateFile(file, `${token}\n`);
  } catch (cause) {
    throw new FabricError(cliErrors.file_unreadable, `${file} cannot be written`, {
      details: { file },
      cause,
    });
  }
  return token;
}

function privateText(file: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    const info = fstatSync(fd);
    if ((info.mode & OTHERS) !== 0)
      throw new FabricError(cliErrors.token_file_open, `Others than its owner may read ${file}`, {
        details: { file },
      });
    return readFileSync(fd, 'utf8').trim();
  } catch (cause) {
    if (cause instanceof FabricError) throw cause;
    throw new FabricError(cliErrors.file_unreadable, `${file} cannot be read`, { details: { file }, cause });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
