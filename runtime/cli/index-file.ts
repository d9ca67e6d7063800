/** Where the index of a realm lies, and how the command line uses it. */
import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { LogIndex } from '#runtime/index/log-index';
import type { LogReader } from '#runtime/witness/log-reader';
import type { Io, Out } from './io.ts';
import type { Target } from './locate.ts';
import { logProgress } from './log-progress.ts';
import type { Realm } from './realm.ts';

const NAME = 'index.sqlite';
const CACHE_HASH_DIGITS = 16;

/** In the data folder; in the user's cache where the realm is known by its server alone. */
export function indexFileOf({ dataDir, url, prefix }: Target, env: Io['env']): string {
  if (dataDir !== undefined) return join(dataDir, NAME);
  const cache = env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  // Without what may be a credential.
  const { host = url } = URL.parse(url.includes('://') ? url : `nats://${url}`) ?? {};
  const name = hash('sha256', `${host} ${prefix}`, 'hex').slice(0, CACHE_HASH_DIGITS);
  return join(cache, 'infrafabric', `${name}-${NAME}`);
}

/** Undefined where nobody has built one. */
export function openIndexIfThere(realm: Realm, env: Io['env']): LogIndex | undefined {
  const file = indexFileOf(realm.target, env);
  return existsSync(file) ? LogIndex.open(file, realm.target.prefix) : undefined;
}

/** Reads what is new, with a bar in a terminal. */
export async function bringUp(index: LogIndex, reader: LogReader, io: Io, out: Out): Promise<void> {
  const from = index.status().seq;
  const bar = logProgress(io, out, (await reader.range()).last - from, 'index');
  try {
    await index.catchUp(reader, {
      signal: io.signal,
      onProgress: (seq) => bar.reach(Math.max(0, seq - from)),
    });
  } finally {
    bar.stop();
  }
}
