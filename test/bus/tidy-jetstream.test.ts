/** What reads a stream for a while leaves nothing on the server. */
import { setTimeout as pause } from 'node:timers/promises';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { AckMux } from '#runtime/bus/ack-mux';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { natsLog } from '#runtime/bus/nats-log';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { natsLeases } from '#runtime/claims/nats-leases';
import { TestServer } from '../rig/nats.ts';

const SIZES = { replicas: 1, inboxBytesMax: 1e8, deadBytesMax: 1e8, logBytesMax: -1 };
const TIMES = 10;
const LOOK_EVERY_MS = 100;

async function consumers(jsm: JetStreamManager): Promise<number> {
  let count = 0;
  for await (const { state } of jsm.streams.list()) count += state.consumer_count;
  return count;
}

test('objects read, listed, logs read to the end or in part, and buckets watched leave no consumer', async (t) => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const subjects = new Subjects('if', 1);
  await ensureStreams(nc, subjects, SIZES);
  const jsm = await jetstreamManager(nc);
  const blobs = await natsBlobs(nc, subjects);
  const acks = new AckMux(nc);
  const log = natsLog({ nc, jsm, acks, subjects }, 0);
  const leases = await natsLeases(nc, subjects.buckets.claims);
  await blobs.put('a', Buffer.from('a'));
  for (let n = 0; n < TIMES; n += 1) await log.append(Buffer.from(`${n}`), n);
  for (let n = 0; n < TIMES; n += 1) {
    t.is(String(await blobs.get('a')), 'a');
    t.deepEqual(await blobs.list(''), ['a']);
    const read: number[] = [];
    for await (const { seq } of log.read(0, TIMES)) read.push(seq);
    t.is(read.length, TIMES);
    for await (const { seq } of log.read(0, TIMES)) if (seq === 2) break;
    await (await leases.watch('x.', () => undefined)).close();
  }
  // They are deleted behind the reader's back; one that nobody read goes later.
  for (const deadline = Date.now() + 10_000; (await consumers(jsm)) > 0 && Date.now() < deadline; ) {
    await pause(LOOK_EVERY_MS);
  }
  t.is(await consumers(jsm), 0);
  acks.close();
});
