/** A1, A2 of runtime/archive/archiver.ts, D1, D2 of drop.ts: nothing leaves the stream that is not safe elsewhere. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiscardPolicy, jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { type ArchiveRun, archiveLog } from '#runtime/archive/archiver';
import { Marks } from '#runtime/archive/mark';
import { archiveParts, openWholeLog, realmTile } from '#runtime/archive/open';
import { openStore } from '#runtime/archive/store';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { Subjects } from '#runtime/bus/subjects';
import type { Client } from '#runtime/client/node';
import { snapshotPrefix } from '#runtime/shard/snapshot-format';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { formatVerifierKey } from '#runtime/witness/note';
import { natsWitnessStore } from '#runtime/witness/service/state-store';
import { verifyLog } from '#runtime/witness/verify/verify';
import { CliFolder } from '../rig/cli.ts';
import { TestRealm } from '../rig/realm.ts';
import { S3StandIn } from '../rig/s3-stand-in.ts';
import { isEveryday } from '../rig/tier.ts';
import { newSigner } from '../witness/evidence.ts';

const SHARDS = 2;
const subjects = new Subjects('if', SHARDS);
const CONFIG = {
  shards: SHARDS,
  limits: { snapshotEvery: 50, dedupeWindow: 40 },
  witness: { interval: '100ms', scrubEvery: '500ms', scrubRate: 1_000_000 },
  kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } },
};
const RUN: Omit<ArchiveRun, 'signal'> = {
  holder: 'test',
  until: Number.POSITIVE_INFINITY,
  keep: 0,
  keptMin: 64,
  segmentCommits: 256,
};

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'if-archive-'));
}

/** A commit each. */
async function write(client: Client, count: number, name = 'k'): Promise<void> {
  for (let n = 0; n < count; n += 1) await client.ask(`counter/${name}${n % 5}`, { type: 'inc' });
}

/** Resolves once all that is written is signed. */
async function signed({ connection }: Client): Promise<void> {
  const { last } = await (await natsLogReader(connection, subjects)).range();
  const store = await natsWitnessStore(connection, subjects.buckets.witness);
  while (((await store.note()).value?.size ?? 0) < last)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

async function partsOf({ connection: nc }: Client, place: string, env: Record<string, string> = {}) {
  const store = openStore(place, '/', env);
  return archiveParts({ nc, subjects, shards: SHARDS, realm: 'test', store, tile: realmTile(nc, subjects) });
}

async function run(
  client: Client,
  place: string,
  options: Partial<ArchiveRun> = {},
  env: Record<string, string> = {},
) {
  await signed(client);
  const parts = await partsOf(client, place, env);
  return archiveLog(parts, { ...RUN, signal: new AbortController().signal, ...options });
}

async function bytesOf(client: Client, env: Record<string, string> = {}): Promise<Map<number, string>> {
  const log = await openWholeLog(client.connection, subjects, env);
  const { first, last } = await log.range();
  const all = new Map<number, string>();
  for await (const batch of log.read(first, last)) {
    for (const { seq, bytes } of batch) all.set(seq, Buffer.from(bytes).toString('base64'));
  }
  return all;
}

test.skipIf(isEveryday)(
  'old commits move into verified segments, the stream drops them, and everything reads on across both',
  async (t) => {
    const place = folder();
    await using realm = await TestRealm.start({ config: CONFIG });
    try {
      let client = await realm.client();
      await write(client, 700);
      const before = await bytesOf(client);
      const dry = await run(client, place, { dryRun: true });
      t.like(dry, { from: 1, through: 512, commits: 512 });
      t.deepEqual(readdirSync(place), []);

      const first = await run(client, place);
      t.like(first, { from: 1, through: 512, segments: 2 });
      t.true(first.streamFirst > 300 && first.streamFirst <= 513 - 64, String(first.streamFirst));
      t.like(await run(client, place), { commits: 0, segments: 0, streamFirst: first.streamFirst });
      t.deepEqual(await bytesOf(client), before);

      await write(client, 200, 'later');
      await signed(client);
      const log = await openWholeLog(client.connection, subjects, {});
      t.like(await verifyLog({ primitives: nodePrimitives, log }), { ok: true, from: 1 });
      t.is((await log.get(5))?.seq, 5);
      const following = new AbortController();
      const seen: number[] = [];
      for await (const batch of log.follow(1, following.signal)) {
        for (const { seq } of batch) seen.push(seq);
        if (seen.length >= (await log.range()).last) following.abort();
      }
      t.deepEqual(
        seen,
        Array.from({ length: seen.length }, (_, n) => n + 1),
      );

      await realm.kill();
      await realm.up();
      client = await realm.client();
      t.deepEqual((await client.ask('counter/k0', { type: 'get' })).reply, { n: 140 });
      const second = await run(client, place);
      t.is(second.from, 513);
      t.is((await bytesOf(client)).size, (await log.range()).last);

      // Without a whole snapshot a recovery needs what was dropped, and finds it in the archive.
      const blobs = await natsBlobs(client.connection, subjects);
      for (const shard of [0, 1]) {
        for (const name of await blobs.list(snapshotPrefix(shard))) await blobs.delete(name);
      }
      // Cleanly: a server that is killed may show some of what it dropped last again.
      await realm.down();
      await realm.up();
      client = await realm.client();
      t.true(realm.events.some(({ event }) => event === 'log_read_from_archive'));
      t.deepEqual((await client.ask('counter/k0', { type: 'get' })).reply, { n: 140 });
      const witness = await natsWitnessStore(client.connection, subjects.buckets.witness);
      t.deepEqual((await witness.breaks()).value, [], 'what is archived is not missing');

      await using elsewhere = new CliFolder();
      const checked = await elsewhere.run(['archive', 'verify', place, '--json']);
      t.like(JSON.parse(checked.out), { ok: true, commits: second.through });
      const strange = await elsewhere.run([
        'archive',
        'verify',
        place,
        '--key',
        formatVerifierKey(newSigner().key),
      ]);
      t.is(strange.code, 1);
      t.regex(strange.out, /log-0+1-\d+\.ifbundle\.gz: checkpoint: .* is not signed by/);
      const none = await elsewhere.run(['archive', 'verify', './nowhere']);
      t.regex(none.err, /error\[archive_missing\]/);
    } finally {
      rmSync(place, { recursive: true });
    }
  },
);

test('a schedule in the config archives by itself', async (t) => {
  const place = folder();
  const archive = { to: place, every: '1s', keep: 0 };
  await using realm = await TestRealm.start({ config: { ...CONFIG, archive } });
  try {
    await write(await realm.client(), 300);
    const { commits } = (await realm.event('archived')) as unknown as { commits: number };
    t.true(commits === 0 || commits === 256, String(commits));
    while (!readdirSync(place).includes('archive.json')) await realm.event('archived');
    t.like(JSON.parse(readFileSync(join(place, 'archive.json'), 'utf8')), {
      realm: 'test',
      segments: [{ from: 1, through: 256 }],
    });
  } finally {
    rmSync(place, { recursive: true });
  }
});

test.skipIf(isEveryday)('what is not what was signed is not archived, and nothing is dropped', async (t) => {
  const place = folder();
  await using realm = await TestRealm.start({ config: CONFIG });
  try {
    const client = await realm.client();
    await write(client, 300);
    const parts = await partsOf(client, place);
    await signed(client);
    const tampered = {
      ...(await partsOf(client, place)),
      stream: {
        ...bound(parts.stream),
        read: async function* (from: number, through: number) {
          for await (const batch of parts.stream.read(from, through)) {
            yield batch.map((m) => (m.seq === 40 ? { ...m, bytes: m.bytes.with(m.bytes.length - 1, 7) } : m));
          }
        },
      },
    };
    const error = await t.throwsAsync(archiveLog(tampered, { ...RUN, signal: new AbortController().signal }));
    t.like(error, { code: 'archive_unverified' });
    t.regex(error.message, /altered at sequence 40/);
    t.is((await parts.stream.range()).first, 1);

    const first = await run(client, place);
    const [name = ''] = readdirSync(place).filter((file) => file.endsWith('.gz'));
    const file = join(place, name);
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.with(bytes.length - 20, (bytes.at(-20) ?? 0) ^ 1));
    if (first.streamFirst > 1) await t.throwsAsync(bytesOf(client), { code: 'archive_damaged' } as never);
    rmSync(file);
    if (first.streamFirst > 1) await t.throwsAsync(bytesOf(client), { message: /is missing/ });

    const other = folder();
    mkdirSync(other, { recursive: true });
    writeFileSync(
      join(other, 'archive.json'),
      readFileSync(join(place, 'archive.json')).toString().replace('"test"', '"other"'),
    );
    t.like(await t.throwsAsync(run(client, other)), { code: 'archive_foreign' });
    writeFileSync(join(other, 'archive.json'), '{');
    t.like(await t.throwsAsync(run(client, other)), { code: 'archive_damaged' });
    rmSync(other, { recursive: true });
  } finally {
    rmSync(place, { recursive: true });
  }
});

test.skipIf(isEveryday)(
  'a run that ends at any step loses nothing, under load, and the next node or run puts the limits back',
  async (t) => {
    const place = folder();
    await using realm = await TestRealm.start({ config: CONFIG });
    try {
      const client = await realm.client();
      const { connection } = client;
      await write(client, 600);
      const before = await bytesOf(client);
      const jsm = await jetstreamManager(connection);
      for (const point of ['stored', 'before_lower', 'lowered', 'restored'] as const) {
        await write(client, 300, point);
        const dying = run(client, place, {
          probe: (at) => {
            if (at === point) throw new Error(`died at ${at}`);
          },
        });
        await t.throwsAsync(dying, { message: `died at ${point}` });
        // Fewer than the margin, while the limits are down.
        await write(client, 40, `${point}-after`);
        if (point === 'lowered') {
          // The node that runs notices by itself.
          while ((await jsm.streams.info(subjects.streams.log)).config.discard !== DiscardPolicy.New) {
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }
        const all = await bytesOf(client);
        for (const [seq, bytes] of before) t.is(all.get(seq), bytes, `sequence ${seq} after ${point}`);
        t.deepEqual(
          [...all.keys()],
          Array.from({ length: all.size }, (_, n) => n + 1),
          point,
        );
      }
      const marks = await Marks.open(connection, subjects.buckets.witness);
      while ((await marks.read()).mark?.dropping === true)
        await new Promise((resolve) => setTimeout(resolve, 50));
      await jsm.streams.update(subjects.streams.log, { discard: DiscardPolicy.Old, max_msgs: 100_000 });
      await realm.kill();
      realm.launch({});
      await realm.exited();
      t.regex(realm.tail(), /stream_drift/, 'limits that nobody declared are not ours to change');
    } finally {
      rmSync(place, { recursive: true });
    }
  },
);

test.skipIf(isEveryday)(
  'an S3-compatible store: signed requests, wrong credentials, and a stored segment that is not what was sent',
  async (t) => {
    await using s3 = await S3StandIn.start();
    await using realm = await TestRealm.start({ config: CONFIG });
    const client = await realm.client();
    await write(client, 400);
    const place = 's3://audit/realms/test';
    const first = await run(client, place, {}, s3.env);
    t.like(first, { through: 256, segments: 1 });
    t.true([...s3.objects.keys()].some((key) => key.startsWith('audit/realms/test/log-')));
    t.is(
      (await bytesOf(client, s3.env)).size,
      (await (await natsLogReader(client.connection, subjects)).range()).last,
    );
    const wrong = await t.throwsAsync(run(client, place, {}, { ...s3.env, AWS_SECRET_ACCESS_KEY: 'wrong' }));
    t.like(wrong, { code: 'archive_unreachable' });
    t.false(JSON.stringify(wrong, Object.getOwnPropertyNames(wrong)).includes('wrong'));
    t.throws(() => openStore(place, '/', {}), { message: /needs a bucket and credentials/ });

    await write(client, 300, 'more');
    s3.spoil = (body) => body.with(0, (body[0] ?? 0) ^ 1);
    t.like(await t.throwsAsync(run(client, place, {}, s3.env)), { code: 'archive_damaged' });
    s3.spoil = undefined;
    t.like(await run(client, place, {}, s3.env), { from: 257 });
  },
);

function bound(reader: {
  range(): unknown;
  get(seq: number): unknown;
  follow(from: number, signal: AbortSignal): unknown;
}) {
  return {
    range: () => reader.range() as never,
    get: (seq: number) => reader.get(seq) as never,
    follow: (from: number, signal: AbortSignal) => reader.follow(from, signal) as never,
  };
}
