/** U1, U2 of runtime/archive/turn.ts, and the bounds of what an archive is read with. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { fileStore } from '#runtime/archive/file-store';
import { ArchiveTurn, lastArchiveEnd, TURN_MS } from '#runtime/archive/turn';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { TestServer } from '../rig/nats.ts';

const subjects = new Subjects('if', 1);
const OPTIONS = { replicas: 1, inboxBytesMax: 2 ** 26, deadBytesMax: 2 ** 24, logBytesMax: -1 };

test('one run archives at a time; one that died holds nobody up for ever, and one that slept ends where it wakes', async (t) => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  await ensureStreams(nc, subjects, OPTIONS);
  let now = 1_000_000;
  const of = (holder: string) => ({ nc, bucket: subjects.buckets.witness, holder, now: () => now });

  t.is(await lastArchiveEnd(of('a')), now, 'a schedule counts from the first time that it was asked for');
  now += 50_000;
  t.is(await lastArchiveEnd(of('a')), now - 50_000, 'and a restart does not begin it anew');

  const first = await ArchiveTurn.take(of('a'));
  t.like(await t.throwsAsync(ArchiveTurn.take(of('b'))), { code: 'archive_busy', details: { holder: 'a' } });
  now += TURN_MS - 1;
  await first.hold();
  now += TURN_MS - 1;
  await t.throwsAsync(ArchiveTurn.take(of('b')), { code: 'archive_busy' } as never);
  now += 1;
  const second = await ArchiveTurn.take(of('b'));
  t.like(await t.throwsAsync(first.hold()), { code: 'archive_busy' });
  await first.end();
  await second.hold();
  await second.end();
  t.is(await lastArchiveEnd(of('a')), now);

  const rivals = await Promise.allSettled(['c', 'd', 'e'].map((holder) => ArchiveTurn.take(of(holder))));
  t.is(rivals.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('a file that is larger than what was stored is not read', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'if-store-'));
  try {
    writeFileSync(join(folder, 'a.gz'), new Uint8Array(1_000));
    const store = fileStore(folder);
    t.is((await store.get('a.gz', 1_000))?.byteLength, 1_000);
    t.is(await store.get('b.gz', 1_000), undefined);
    t.like(await t.throwsAsync(store.get('a.gz', 999)), { code: 'archive_damaged' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
