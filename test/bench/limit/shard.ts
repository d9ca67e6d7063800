/**
 * The bare loop, in a process of its own: core-NATS ask → pure XState step → one fenced, hash-linked JetStream commit →
 * reply. No recovery, no mail, no timers: the limit that the kernel is measured against.
 * Arguments: servers, shard, copies of the log; the token in NATS_TOKEN. Prints `ready`; ends with SIGTERM.
 */
import { createHash } from 'node:crypto';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { Msg } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { Packr } from 'msgpackr';
import { type AnyActorScope, assign, createActor, type SnapshotFrom, setup } from 'xstate';

const BATCH_MAX = 1_000;

const [, , servers = '127.0.0.1:4222', shard = '0', copies = '1'] = process.argv;
const { NATS_TOKEN: token } = process.env;
const nc = await connect({ servers: servers.split(','), ...(token !== undefined && { token }) });
const jsm = await jetstreamManager(nc);
const js = jetstream(nc);
await jsm.streams.add({ name: 'LIMIT_LOG', subjects: ['limit.log.*'], num_replicas: Number(copies) });
const last = await jsm.streams.getMessage('LIMIT_LOG', { last_by_subj: `limit.log.${shard}` });

const counter = setup({ types: {} as { context: { n: number }; events: { type: 'inc' } } }).createMachine({
  context: { n: 0 },
  initial: 'on',
  states: { on: { on: { inc: { actions: assign({ n: ({ context }) => context.n + 1 }) } } } },
});
const self = createActor(counter);
const scope = {
  self,
  id: '',
  sessionId: '',
  system: self.system,
  logger: () => undefined,
  defer: () => undefined,
  stopChild: () => undefined,
  emit: () => undefined,
  actionExecutor: () => undefined,
} as unknown as AnyActorScope;

const packr = new Packr({ useRecords: false });
const actors = new Map<string, SnapshotFrom<typeof counter>>();
const queue: { readonly message: Msg; readonly seq: number }[] = [];
let committing = false;
let prev: Buffer = Buffer.alloc(32);
let index = 0;
// Another loop may have written before.
let lastSequence = last?.seq ?? 0;
let received = 0;

async function pump(): Promise<void> {
  if (committing) return;
  committing = true;
  while (queue.length > 0) {
    const batch = queue.splice(0, BATCH_MAX);
    const entries: object[] = [];
    const replies: [string, number][] = [];
    for (const { message, seq } of batch) {
      const { ev, r } = packr.unpack(message.data) as { ev: { type: 'inc' }; r: string };
      const before = actors.get(message.subject) ?? counter.getInitialSnapshot(scope as never, undefined);
      const after = counter.transition(before, ev, scope as never);
      actors.set(message.subject, after);
      entries.push({ c: seq, a: message.subject, v: 1, e: ev, b: before.value, s: after.value });
      replies.push([r, after.context.n]);
    }
    const consumed = batch.at(-1)?.seq;
    const commit = packr.pack({
      shard: Number(shard),
      index: index++,
      prev,
      at: Date.now(),
      consumed,
      entries,
    });
    prev = createHash('sha256').update(commit).digest();
    const ack = await js.publish(`limit.log.${shard}`, commit, {
      expect: { lastSubjectSequence: lastSequence },
    });
    lastSequence = ack.seq;
    for (const [to, n] of replies) nc.publish(to, packr.pack(n));
  }
  committing = false;
}

nc.subscribe(`limit.ask.${shard}.*.*`, {
  callback: (error, message) => {
    if (error !== null && error !== undefined) throw error;
    queue.push({ message, seq: ++received });
    if (!committing) setImmediate(() => void pump());
  },
});
await nc.flush();
process.stdout.write('ready\n');
process.once('SIGTERM', () => void nc.close().finally(() => process.exit(0)));
