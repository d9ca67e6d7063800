/** The witness inside a running realm: what it serves, how it alarms, how it moves, and the commands. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { Subjects } from '#runtime/bus/subjects';
import type { Client } from '#runtime/client/node';
import { signedFile } from '#runtime/keys/key-store';
import { apiRequest } from '#runtime/node/api';
import { parseCheckpoint } from '#runtime/witness/checkpoint';
import { decodeLeaf } from '#runtime/witness/leaf';
import { merkle, nodePrimitives } from '#runtime/witness/node-crypto';
import { parseNote, parseVerifierKey, verifyNote } from '#runtime/witness/note';
import type { WitnessStatus } from '#runtime/witness/service/metrics';
import { signedRecordFile } from '#runtime/witness/service/signed-record';
import { decodeBundle, tilePath, tileReader, tileWidth } from '#runtime/witness/tiles';
import { parseTlogProof } from '#runtime/witness/tlog-proof';
import { CliFolder } from '../../rig/cli.ts';
import { until } from '../../rig/load.ts';
import { freePort, TestRealm } from '../../rig/realm.ts';
import { isEveryday } from '../../rig/tier.ts';
import { LogWriter } from './rig.ts';

const SHARDS = 3;
const ALARM = 'witness/realm';
const COUNTERS = { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } };
const subjects = new Subjects('if', SHARDS);

function status(client: Client): Promise<WitnessStatus> {
  return apiRequest<WitnessStatus>(client.connection, subjects.api('witness'));
}

async function signedAll(client: Client): Promise<WitnessStatus> {
  let last: WitnessStatus | undefined;
  await until(async () => {
    last = await status(client).catch(() => undefined);
    return last !== undefined && last.size > 0 && last.lagCommits === 0;
  }, 'checkpoint over all');
  return last as WitnessStatus;
}

async function work(client: Client, asks: number): Promise<void> {
  for (let i = 0; i < asks; i += 1) await client.ask(`counter/k${i % 7}`, { type: 'inc' });
}

test.skipIf(isEveryday)(
  'what a realm serves over HTTP is a C2SP log that the pure core verifies, and no more than that',
  async (t) => {
    const port = await freePort();
    const witness = { interval: '200ms', http: { port } };
    await using realm = await TestRealm.start({ config: { shards: SHARDS, kinds: COUNTERS, witness } });
    const client = await realm.client();
    await work(client, 300);
    const { key: keyText, http = '' } = await signedAll(client);
    t.is(http, `http://127.0.0.1:${port}`);
    const get = async (path: string): Promise<Uint8Array> => {
      const response = await fetch(`${http}/${path}`);
      if (response.status !== 200) throw new Error(`${path}: ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    };
    const response = await fetch(`${http}/checkpoint`);
    t.is(response.headers.get('content-type'), 'text/plain; charset=utf-8');
    t.is(response.headers.get('cache-control'), 'no-cache');
    const note = parseNote(new Uint8Array(await response.arrayBuffer()));
    const key = parseVerifierKey(nodePrimitives.sha256, keyText);
    const checkpoint = parseCheckpoint(note?.text ?? '');
    if (note === undefined || key === undefined || checkpoint === undefined) throw new Error('no checkpoint');
    t.deepEqual(verifyNote(nodePrimitives, note, [key]), { ok: true, verified: [{ key }] });
    t.is(checkpoint.origin, 'infrafabric/test');

    const { size } = checkpoint;
    const read = tileReader(merkle, size, (tile) => get(tilePath(tile)));
    t.deepEqual(Buffer.from(await merkle.root(size, read)), Buffer.from(checkpoint.root));
    const entries: Uint8Array[] = [];
    for (let n = 0; n * 256 < size; n += 1) {
      const width = tileWidth(size, 'entries', n);
      entries.push(...(decodeBundle(await get(tilePath({ level: 'entries', n, width })), width) ?? []));
    }
    for await (const batch of (await natsLogReader(client.connection, subjects)).read(1, size)) {
      for (const { seq, shard, bytes } of batch) {
        const { index, at } = decodeCommit(bytes);
        const leaf = decodeLeaf(entries[seq - 1] ?? new Uint8Array());
        t.deepEqual(
          { ...leaf, hash: Buffer.from(leaf?.hash ?? []) },
          { shard, index, seq, at, hash: Buffer.from(sha256(bytes)) },
        );
      }
    }

    const tile = await fetch(`${http}/tile/0/000`);
    t.is(tile.headers.get('content-type'), 'application/octet-stream');
    t.regex(tile.headers.get('cache-control') ?? '', /immutable/);
    for (const path of [
      '',
      'tile/0/999',
      'tile/0/000.p/256',
      'tile/0/0',
      'tile/9/000',
      'tile/0/%2e%2e',
      // Far from full, whatever else the realm has written by now.
      'tile/0/001.p/255',
    ]) {
      t.is((await fetch(`${http}/${path}`)).status, 404, path);
    }
    t.is((await fetch(`${http}/checkpoint`, { method: 'POST', body: 'x' })).status, 413);
    t.is((await fetch(`${http}/checkpoint`, { method: 'DELETE' })).status, 405);
    t.is((await fetch(`${http}/checkpoint`, { method: 'HEAD' })).status, 200);
    const metrics = await (await fetch(`${http}/metrics`)).text();
    const told = /^infrafabric_witness_tree_size\{origin="infrafabric\/test"\} (\d+)$/m.exec(metrics)?.[1];
    t.true(Number(told) >= size, told);
    for (const line of metrics.trim().split('\n')) {
      t.regex(line, /^(?:# (?:HELP|TYPE) [a-z_]+ .+|[a-z_]+\{origin="[^"]+"\} [0-9.e+-]+)$/);
    }
  },
);

test('a forged commit is told of within a second, is one HIGH entry, and stays one over a restart', async (t) => {
  const witness = { interval: '200ms', scrubEvery: '200ms' };
  await using realm = await TestRealm.start({ config: { shards: SHARDS, kinds: COUNTERS, witness } });
  const client = await realm.client();
  await work(client, 20);
  await signedAll(client);
  const spared = new Set([subjects.shardOf(ALARM), subjects.shardOf('supervisor/root')]);
  const shard = [0, 1, 2].find((n) => !spared.has(n)) ?? 0;

  const events: { at: number; body: { kind: string; shard: number } }[] = [];
  const heard = Promise.withResolvers<void>();
  client.connection.subscribe('if.ev.witness.realm.break', {
    callback: (_, m) => {
      events.push({ at: performance.now(), body: m.json() });
      heard.resolve();
    },
  });
  await client.connection.flush();
  const forgedAt = performance.now();
  await jetstream(client.connection).publish(
    subjects.log(shard),
    new LogWriter(async () => {}).next(shard, { index: 9_999 }),
  );
  await heard.promise;
  t.log(`heard ${Math.round((events[0]?.at ?? 0) - forgedAt)} ms after the forged commit`);
  t.like(events[0]?.body, { kind: 'removed', shard });

  const alarms = async (): Promise<number> => {
    const reader = await natsLogReader(client.connection, subjects);
    let count = 0;
    for await (const batch of reader.read(1, (await reader.range()).last)) {
      for (const { bytes } of batch) {
        for (const entry of decodeCommit(bytes).entries) {
          if (entry.actor === ALARM && entry.severity === 'HIGH') count += 1;
        }
      }
    }
    return count;
  };
  await until(async () => (await alarms()) === 1, 'HIGH entry');
  const { value } = await realm.show(client, subjects.shardOf(ALARM), ALARM);
  t.is(value, 'broken');
  const { scrubPasses } = await status(client);
  await until(async () => (await status(client)).scrubPasses > scrubPasses + 1, 'two passes more');
  t.is((await status(client)).breaks, 1);

  await realm.kill();
  await realm.up();
  await until(async () => ((await status(client).catch(() => undefined))?.scrubPasses ?? 0) >= 1, 'a pass');
  t.is((await status(client)).breaks, 1);
  t.is(await alarms(), 1);
  t.is(events.length, 1, 'told of once');
  const { halted, size } = await signedAll(client);
  t.is(halted, undefined, 'and it goes on signing what is there');
  await until(async () => (await recordedIn(realm.dataDir)) >= size, 'the record that lies with the key');
});

/** Commits in the last tree that a node knows to be signed. */
async function recordedIn(dataDir: string): Promise<number> {
  return (await signedRecordFile(signedFile(dataDir)).last('infrafabric/test'))?.size ?? 0;
}

test.skipIf(isEveryday)(
  'a node that has the key of its realm follows what another one signs; one that has it not keeps no record',
  async (t) => {
    const config = {
      shards: SHARDS,
      kinds: COUNTERS,
      witness: { interval: '200ms' },
      limits: { leaseTtl: '1s' },
    };
    await using first = await TestRealm.start({ config });
    const { url, token } = first;
    const client = await first.client();
    await work(client, 30);
    await signedAll(client);
    const folder = mkdtempSync(join(tmpdir(), 'if-realm-'));
    mkdirSync(join(folder, 'data/keys'), { recursive: true, mode: 0o700 });
    try {
      cpSync(join(first.dataDir, 'keys/realm.seed'), join(folder, 'data/keys/realm.seed'));
      await using second = await TestRealm.start({ config, server: { url, token }, folder });
      await using third = await TestRealm.start({ config, server: { url, token } });
      await work(client, 30);
      const { size } = await signedAll(client);
      for (const { dataDir } of [first, second]) {
        await until(async () => (await recordedIn(dataDir)) >= size, `${size} commits`);
      }
      t.is(await recordedIn(third.dataDir), 0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test.skipIf(isEveryday)(
  'when the node that signs is killed another of its realm takes up, under the same key and over the same tree',
  async (t) => {
    const witness = { interval: '200ms' };
    const config = { shards: SHARDS, kinds: COUNTERS, witness, limits: { leaseTtl: '1s' } };
    await using first = await TestRealm.start({ config });
    const client = await first.client();
    await work(client, 30);
    const before = await signedAll(client);
    await first.kill();
    await first.up();
    await work(client, 30);
    const after = await signedAll(client);
    t.is(after.key, before.key);
    t.true(after.size > before.size);
    t.not(after.nodeId, before.nodeId);
    t.is(after.breaks, 0);
    const stored = await (await jetstreamManager(client.connection)).streams.info('KV_if_witness');
    t.true(stored.state.messages > 0);
  },
);

test.skipIf(isEveryday)(
  'the commands tell how the log stands, and give checkpoint, key and proofs that verify',
  async (t) => {
    await using folder = new CliFolder();
    const realm = folder.start(['up', '--json']);
    await realm.until(/"event":"up"/);
    for (let i = 0; i < 5; i += 1) await folder.run(['ask', `counter/k${i}`, 'inc']);
    const statusOf = async (): Promise<WitnessStatus> =>
      JSON.parse((await folder.run(['witness', 'status', '--json'])).out);
    await until(async () => (await statusOf()).size >= 5, 'checkpoint');
    t.regex((await folder.run(['witness', 'status'])).out, /commits signed/);
    const keyText = (await folder.run(['witness', 'key'])).out.trim();
    const key = parseVerifierKey(nodePrimitives.sha256, keyText);
    if (key === undefined) throw new Error(keyText);
    const note = parseNote(Buffer.from((await folder.run(['witness', 'checkpoint'])).out));
    t.true(note !== undefined && verifyNote(nodePrimitives, note, [key]).ok);
    for (const [place, index] of [
      ['0/3', 3],
      ['4', 3],
      ['0/0', 0],
    ] as const) {
      const { code, out } = await folder.run(['witness', 'proof', place]);
      t.is(code, 0);
      const proof = parseTlogProof(out);
      if (proof?.extra === undefined) throw new Error(out);
      const head = parseCheckpoint(parseNote(proof.checkpoint)?.text ?? '');
      t.is(proof.index, index);
      const root = merkle.rootOfInclusion(merkle.leafHash(proof.extra), index, head?.size ?? 0, proof.hashes);
      t.deepEqual(Buffer.from(root ?? []), Buffer.from(head?.root ?? []));
    }
    t.regex((await folder.run(['witness', 'proof', '0/999'])).err, /witness_no_leaf/);
    t.is((await folder.run(['witness', 'proof', 'x'])).code, 2);
    t.regex((await folder.run(['witness', 'checkpoint', '--cosigned'])).err, /witness_absent/);
  },
);

test.skipIf(isEveryday)(
  'a realm with cosigners publishes the cosigned checkpoint, and one that cosigns is any folder with a key',
  async (t) => {
    await using folder = new CliFolder();
    const port = await freePort();
    const first = folder.start(['up', '--json']);
    await first.until(/"event":"up"/);
    let realmKey = '';
    await until(async () => {
      const { code, out } = await folder.run(['witness', 'key']);
      realmKey = out.trim();
      return code === 0;
    }, 'key');
    await folder.run(['down']);
    await first.ended;

    const cosigner = folder.start([
      'witness',
      'cosign',
      '--log',
      realmKey,
      '--name',
      'w.example/1',
      '--listen',
      `127.0.0.1:${port}`,
      '--json',
    ]);
    await cosigner.until(/"event":"cosigning"/);
    const { key: cosignerKey, url } = JSON.parse(cosigner.out.trim()) as { key: string; url: string };
    const { writeFileSync } = await import('node:fs');
    writeFileSync(
      `${folder.path}/realm.yaml`,
      JSON.stringify({
        realm: 'counter',
        kinds: COUNTERS,
        witness: { interval: '200ms', cosigners: [{ url, key: cosignerKey }] },
      }),
    );
    const realm = folder.start(['up', '--json']);
    await realm.until(/"event":"up"/);
    await folder.run(['ask', 'counter/k1', 'inc']);
    let cosigned = '';
    await until(async () => {
      const { code, out } = await folder.run(['witness', 'checkpoint', '--cosigned']);
      cosigned = out;
      return code === 0;
    }, 'cosigned checkpoint');
    const keys = [realmKey, cosignerKey].flatMap(
      (text) => parseVerifierKey(nodePrimitives.sha256, text) ?? [],
    );
    const note = parseNote(Buffer.from(cosigned));
    const verdict = note && verifyNote(nodePrimitives, note, keys);
    t.deepEqual(verdict?.ok === true ? verdict.verified.map(({ key }) => key.name) : [], [
      'infrafabric/counter',
      'w.example/1',
    ]);
    cosigner.process.kill('SIGTERM');
    t.is((await cosigner.ended).code, 0);
  },
);
