/**
 * The index of the log: how fast it is built, and how long the history of one actor takes, in logs of 1 M and 10 M
 * entries. The log is synthetic: commits of one entry each are encoded as they are read, so a build pays for that too;
 * `sourcePerSec` is that reading alone. No server is in it: the entries of a history come from the same source, decoded.
 * Limits, in the same run: SQLite inserting rows of the same columns without indexes, and looking up primary keys.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { findEntries } from '#runtime/index/find-entries';
import { LogIndex } from '#runtime/index/log-index';
import { sqlite } from '#runtime/index/sqlite';
import { syntheticLog } from '../rig/synthetic-log.ts';
import { quantile } from './measure.ts';
import { rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const SIZES: readonly (readonly [string, number])[] = [
  ['1 M', 1_000_000],
  ['10 M', 10_000_000],
];
const ENTRIES_OF_ACTOR = 100;
const QUERIES = 200;
const LIMIT_ROWS = 500_000;
const LIMIT_BATCH = 4_096;
const LOOKUPS = 100_000;
const COLUMNS = 15;
/** Coprime with any count of actors or rows here: walks over all of them. */
const STRIDE = 7_919;

const built = (size: string): string => `index: build, ${size} entries`;
const asked = (size: string): string => `index: history of one actor, ${size} entries`;

export const logIndex: Suite = {
  benches: SIZES.flatMap(([size]) => [built(size), asked(size)]),
  async *run(wanted, { scale }) {
    for (const [size, full] of SIZES) {
      if (!wanted(built(size)) && !wanted(asked(size))) continue;
      const commits = Math.ceil(full * scale);
      const actors = Math.max(1, Math.floor(commits / ENTRIES_OF_ACTOR));
      const folder = mkdtempSync(join(tmpdir(), 'if-bench-index-'));
      try {
        const log = syntheticLog({ commits, actors });
        const limits = limitsIn(join(folder, 'limit.sqlite'), Math.min(LIMIT_ROWS, commits));
        const sourceMs = await elapsed(async () => {
          for await (const _ of log.read(1, Math.min(commits, LIMIT_ROWS)));
        });
        using index = LogIndex.open(join(folder, 'index.sqlite'), 'bench');
        const buildMs = await elapsed(() => index.catchUp(log));
        const buildPerSec = (commits * 1000) / buildMs;
        yield row(built(size), {
          opsPerSec: Math.round(buildPerSec),
          limitOpsPerSec: Math.round(limits.insertsPerSec),
          ratio: rounded(buildPerSec / limits.insertsPerSec, 3),
          entries: commits,
          seconds: rounded(buildMs / 1000, 1),
          bytesPerEntry: Math.round(index.status().bytes / commits),
          sourcePerSec: Math.round((Math.min(commits, LIMIT_ROWS) * 1000) / sourceMs),
          rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
        });
        const times: number[] = [];
        for (let nth = 0; nth < QUERIES; nth++) {
          const actor = `counter/k${(nth * STRIDE) % actors}`;
          let found = 0;
          const ms = await elapsed(async () => {
            for await (const _ of findEntries(index, log, { actor }, { order: 'newest', limit: 0 }))
              found += 1;
          });
          if (found < ENTRIES_OF_ACTOR) throw new Error(`${actor} has ${found} entries`);
          times.push(ms);
        }
        const sorted = Float64Array.from(times).sort();
        const entriesPerSec = (QUERIES * ENTRIES_OF_ACTOR * 1000) / sorted.reduce((sum, ms) => sum + ms, 0);
        yield row(asked(size), {
          opsPerSec: Math.round(entriesPerSec),
          p50Ms: rounded(quantile(sorted, 0.5), 2),
          p99Ms: rounded(quantile(sorted, 0.99), 2),
          limitOpsPerSec: Math.round(limits.lookupsPerSec),
          ratio: rounded(entriesPerSec / limits.lookupsPerSec, 3),
          entries: commits,
          entriesPerHistory: ENTRIES_OF_ACTOR,
        });
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }
  },
};

/** What this SQLite does on this disk with nothing around it. */
function limitsIn(
  file: string,
  rows: number,
): { readonly insertsPerSec: number; readonly lookupsPerSec: number } {
  const { DatabaseSync } = sqlite();
  const db = new DatabaseSync(file);
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    const names = Array.from({ length: COLUMNS - 1 }, (_, nth) => `c${nth}`);
    db.exec(`CREATE TABLE row (id INTEGER PRIMARY KEY, ${names.join(', ')})`);
    const insertsPerSec = insertAll(db, rows);
    const lookup = db.prepare('SELECT * FROM row WHERE id = ?');
    const began = performance.now();
    for (let nth = 0; nth < LOOKUPS; nth++) lookup.get((nth * STRIDE) % rows);
    return { insertsPerSec, lookupsPerSec: (LOOKUPS * 1000) / (performance.now() - began) };
  } finally {
    db.close();
  }
}

function insertAll(db: DatabaseSync, rows: number): number {
  const insert = db.prepare(`INSERT INTO row VALUES (${Array(COLUMNS).fill('?').join(',')})`);
  const began = performance.now();
  for (let from = 0; from < rows; from += LIMIT_BATCH) {
    db.exec('BEGIN');
    for (let id = from; id < Math.min(rows, from + LIMIT_BATCH); id++) {
      insert.run(id, 0, id, id, id % 1000, 1, 1, 2, 0, id * STRIDE, null, null, 3, id * STRIDE, 4);
    }
    db.exec('COMMIT');
  }
  return (rows * 1000) / (performance.now() - began);
}

async function elapsed(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
