/** What is read while a server goes: nothing waits for an answer that was lost with it. */
import { jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { AckMux } from '#runtime/bus/ack-mux';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { natsLog } from '#runtime/bus/nats-log';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { TestServer } from '../rig/nats.ts';

const SIZES = { replicas: 1, inboxBytesMax: 1e8, deadBytesMax: 1e8, logBytesMax: -1 };
/** Longer than an answer is waited for, shorter than a connection lives without one. */
const SILENCE_MS = 2_500;
const NANOS_PER_MS = 1e6;

test('an object whose server is silent for a while comes when it speaks again', async (t) => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const subjects = new Subjects('if', 1);
  await ensureStreams(nc, subjects, SIZES);
  const blobs = await natsBlobs(nc, subjects);
  await blobs.put('a', Buffer.from('kept'));
  process.kill(server.pid, 'SIGSTOP');
  const read = Promise.all([blobs.get('a'), blobs.list('')]);
  setTimeout(() => process.kill(server.pid, 'SIGCONT'), SILENCE_MS);
  const [bytes, names] = await read;
  t.is(String(bytes), 'kept');
  t.deepEqual(names, ['a']);
});

test('a log is read with heartbeats that miss a lost consumer within seconds', async (t) => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const subjects = new Subjects('if', 1);
  await ensureStreams(nc, subjects, SIZES);
  const acks = new AckMux(nc);
  const log = natsLog({ nc, jsm: await jetstreamManager(nc), acks, subjects }, 0);
  await log.append(Buffer.from('one'), 0);
  const watcher = await server.connect();
  const pulled = watcher.subscribe(`$JS.API.CONSUMER.MSG.NEXT.${subjects.streams.log}.>`, { max: 1 });
  await watcher.flush();
  for await (const { seq } of log.read(0, 1)) t.is(seq, 1);
  for await (const message of pulled) {
    const { idle_heartbeat, expires } = message.json<{ idle_heartbeat: number; expires: number }>();
    t.true(idle_heartbeat <= 1_000 * NANOS_PER_MS);
    t.true(expires <= 2_000 * NANOS_PER_MS);
  }
  acks.close();
});
