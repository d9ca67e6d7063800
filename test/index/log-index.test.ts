/** The read model of the log; X1–X4 are the invariants of runtime/index/log-index.ts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import type { IndexQuery } from '#runtime/index/facets';
import { type FoundEntry, findEntries, scanEntries } from '#runtime/index/find-entries';
import { LogIndex, removeIndex } from '#runtime/index/log-index';
import type { Entry } from '#schemas/commit';
import { cases } from '../rig/effort.ts';
import { MemoryLog, type Written } from '../rig/memory-log.ts';
import { syntheticLog } from '../rig/synthetic-log.ts';
import { isEveryday } from '../rig/tier.ts';

const RUNS = cases(60, isEveryday ? 10 : 20);

const address = fc.constantFrom('task/a', 'task/b', 'session/x', 'session/y', 'counter/k1', 'counter/k2');
const trace = fc.constantFrom('1', '2', '3').map((digit) => `00-${digit.repeat(32)}-${'a'.repeat(16)}-01`);
const conversation = fc.constantFrom('c1', 'c2', 'c3');

const entry: fc.Arbitrary<Entry> = fc
  .record({
    actor: address,
    from: fc.option(address, { nil: undefined }),
    trace: fc.option(trace, { nil: undefined }),
    conversation: fc.option(conversation, { nil: undefined }),
    to: fc.array(address, { minLength: 1, maxLength: 3 }),
    severity: fc.constantFrom(undefined, 'INFO' as const, 'WARN' as const, 'HIGH' as const),
    id: fc.option(fc.constantFrom('m1', 'm2', 'm3'), { nil: undefined }),
  })
  .map(({ actor, from, trace: parent, conversation: talk, to, severity, id }) => ({
    actor,
    cause: { kind: 'inbox', seq: 1, ...(id !== undefined && { id }), ...(from !== undefined && { from }) },
    event:
      talk === undefined
        ? { type: 'inc' }
        : {
            type: 'if.inform',
            message: {
              from: `if://${from ?? actor}`,
              to: to.map((one) => `if://${one}`),
              conversation: talk,
            },
          },
    ...(severity !== undefined && { severity }),
    ...(parent !== undefined && { trace: parent }),
  }));

/** Times of the shards differ, as their clocks do. */
const commit: fc.Arbitrary<Omit<Written, 'at'> & { readonly skew: number }> = fc.record({
  shard: fc.nat(2),
  skew: fc.integer({ min: -30, max: 30 }),
  entries: fc.array(entry, { minLength: 0, maxLength: 4 }),
});

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const query: fc.Arbitrary<IndexQuery> = fc
  .record({
    actor: optional(address),
    type: optional(fc.constantFrom('task', 'session', 'counter', 'none')),
    trace: optional(fc.constantFrom('1', '2', '9').map((digit) => digit.repeat(32))),
    conversation: optional(conversation),
    task: optional(fc.constantFrom('task/a', 'task/b')),
    message: optional(fc.constantFrom('m1', 'm2')),
    sender: optional(address),
    severity: optional(fc.constantFrom('INFO' as const, 'WARN' as const, 'HIGH' as const)),
    since: optional(fc.integer({ min: 0, max: 3_000 })),
    until: optional(fc.integer({ min: 0, max: 3_000 })),
    from: optional(fc.integer({ min: 1, max: 200 })),
  })
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));

test('an index answers every query as a scan of the whole log does, page by page, either way round', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(commit, { maxLength: 200 }),
      fc.array(query, { minLength: 8, maxLength: 8 }),
      fc.nat(200),
      fc.integer({ min: 1, max: 7 }),
      async (commits, queries, cut, limit) => {
        using file = indexFile();
        const log = new MemoryLog();
        using index = LogIndex.open(file.path, 'if');
        for (const [nth, { shard, skew, entries }] of commits.entries()) {
          log.append({ shard, at: Math.max(0, nth * 10 + skew), entries });
          if (nth === cut) await index.catchUp(log);
        }
        await index.catchUp(log);
        for (const wanted of queries) {
          const scanned = places(await all(scanEntries(log, wanted)));
          const oldest = await all(findEntries(index, log, wanted, { order: 'oldest', limit: 0 }));
          const newest = await all(findEntries(index, log, wanted, { order: 'newest', limit: 0 }));
          t.deepEqual(places(oldest), scanned, JSON.stringify(wanted));
          t.deepEqual(places(newest), scanned.toReversed(), JSON.stringify(wanted));
          const paged: FoundEntry[] = [];
          for (let after: number | undefined; ; ) {
            const options = { order: 'oldest' as const, limit, ...(after !== undefined && { after }) };
            const page = await all(findEntries(index, log, wanted, options));
            paged.push(...page);
            after = page.at(-1)?.cursor;
            if (page.length < limit) break;
          }
          t.deepEqual(places(paged), scanned, JSON.stringify(wanted));
        }
      },
    ),
    { numRuns: RUNS },
  );
});

test.serial.skipIf(isEveryday)(
  'a build that is killed at any point goes on where it stopped, and ends with what an undisturbed one has (X1)',
  async (t) => {
    using file = indexFile();
    const commits = 120_000;
    const script = join(import.meta.dirname, '../rig/build-index.ts');
    let kills = 0;
    for (const delayMs of [0, 40, 90, 150, 220]) {
      const child = spawn(process.execPath, [script, file.path, String(commits)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(child, 'exit');
      const began = await Promise.race([
        once(child.stdout, 'data').then(() => true),
        ended.then(() => false),
      ]);
      if (!began) break;
      await pause(delayMs);
      if (child.kill('SIGKILL')) kills += 1;
      await ended;
    }
    t.true(kills > 0);
    const log = syntheticLog({ commits, actors: 1_000 });
    using index = LogIndex.open(file.path, 'if');
    t.is(index.rebuilt, undefined);
    t.true(index.status().seq > 0, 'what was done before the kill is kept');
    await index.catchUp(log);
    t.like(index.status(), { seq: commits, entries: commits, whole: true });
    const found = await all(findEntries(index, log, { actor: 'counter/k7' }, { order: 'oldest', limit: 0 }));
    t.deepEqual(
      found.map(({ seq }) => seq),
      Array.from({ length: commits / 1_000 }, (_, nth) => nth * 1_000 + 8),
    );
  },
);

test('a damaged file, one of another realm or log, and one that is no database, are built anew (X3)', async (t) => {
  using file = indexFile();
  const log = syntheticLog({ commits: 3_000, actors: 10 });
  const build = async (realm = 'if', from = log): Promise<string | undefined> => {
    using index = LogIndex.open(file.path, realm);
    await index.catchUp(from);
    t.is(index.status().seq, (await from.range()).last);
    const found = await all(findEntries(index, from, { actor: 'counter/k3' }, { order: 'newest', limit: 0 }));
    t.deepEqual(places(found).toReversed(), places(await all(scanEntries(from, { actor: 'counter/k3' }))));
    return index.rebuilt;
  };
  t.is(await build(), undefined);
  t.is(await build(), undefined, 'a sound one is kept');
  t.is(await build('other'), 'it is of another realm');
  t.is(await build(), 'it is of another realm');
  t.is(
    await build('if', syntheticLog({ commits: 4_000, actors: 10, salt: 'other' })),
    'it was made from another log',
  );
  t.is(
    await build('if', syntheticLog({ commits: 2_000, actors: 10, salt: 'other' })),
    'it was made from another log',
  );
  removeIndex(`${file.path}-wal`);
  writeFileSync(file.path, 'no database, but long enough to be taken for one by its size'.repeat(100));
  t.is(await build(), 'the file was damaged');
  const bytes = readFileSync(file.path);
  writeFileSync(file.path, bytes.fill(0xee, 0, 4_096));
  t.is(await build(), 'the file was damaged');
  const cut = readFileSync(file.path);
  writeFileSync(file.path, cut.subarray(0, cut.length / 2));
  t.is(await build(), 'the file was damaged');
});

test('what has left the log leaves the index, and a commit that cannot be read is counted', async (t) => {
  using file = indexFile();
  const log = new MemoryLog();
  for (let nth = 0; nth < 100; nth++)
    log.append({ shard: 0, at: nth, entries: [plainEntry(`counter/k${nth % 2}`)] });
  log.appendBytes(0, 100, new Uint8Array([1, 2, 3]));
  using index = LogIndex.open(file.path, 'if');
  await index.catchUp(log);
  t.like(index.status(), { seq: 101, entries: 100, unreadable: 1 });
  log.first = 51;
  log.append({ shard: 0, at: 101, entries: [plainEntry('counter/k0')] });
  await index.catchUp(log);
  t.like(index.status(), { seq: 102, entries: 51, first: 51 });
  const found = await all(findEntries(index, log, { type: 'counter' }, { order: 'oldest', limit: 0 }));
  t.is(found[0]?.seq, 51);
  t.is(found.length, 51);
});

test('two builders of one file do not add anything twice', async (t) => {
  using file = indexFile();
  const log = syntheticLog({ commits: 20_000, actors: 10 });
  using one = LogIndex.open(file.path, 'if');
  using two = LogIndex.open(file.path, 'if');
  await Promise.all([one.catchUp(log), two.catchUp(log)]);
  t.like(one.status(), { seq: 20_000, entries: 20_000 });
  t.deepEqual(one.problems(), []);
});

function plainEntry(actor: string): Entry {
  return { actor, cause: { kind: 'ask' }, event: { type: 'inc' } };
}

function indexFile(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'if-index-'));
  return {
    path: join(folder, 'index.sqlite'),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(items);
}

function places(found: readonly FoundEntry[]): string[] {
  return found.map(({ seq, n }) => `${seq}.${n}`);
}
