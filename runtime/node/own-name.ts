/** The name that a node makes up for itself and keeps in its data folder: its place among the others over restarts. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { writePrivateFile } from '#runtime/bus/file';
import { NODE_NAME } from '#schemas/member';

const NAME_FILE = 'node-name';
const HOST_CHARS_MAX = 40;
/** Enough for the nodes of one host. */
const SUFFIX_BYTES = 3;

export function ownName(dataDir: string): string {
  const file = join(dataDir, NAME_FILE);
  const kept = readName(file);
  if (kept !== undefined) return kept;
  const [host = ''] = hostname().split('.');
  const plain = host
    .replaceAll(/[^A-Za-z0-9-]/g, '-')
    .replace(/^-+/, '')
    .slice(0, HOST_CHARS_MAX);
  const name = `${plain === '' ? 'node' : plain}-${randomBytes(SUFFIX_BYTES).toString('hex')}`;
  writePrivateFile(file, `${name}\n`);
  return name;
}

function readName(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8').trim();
    return NODE_NAME.test(text) ? text : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
