/** The log of a shard on JetStream. */

import { DeliverPolicy, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import type { AppendResult, ShardLog, StoredCommit } from '#runtime/shard/ports';
import type { AckMux } from './ack-mux.ts';
import { readOptions } from './read-options.ts';
import { RetryTime } from './retry-time.ts';
import { soonest } from './soonest.ts';
import type { Subjects } from './subjects.ts';
import { tidyJetStream } from './tidy-jetstream.ts';

/**
 * A leader that steps down drops what it was sent without a word. An answer that is only late costs a read and a publish
 * that is refused; one that never comes would cost all who wait as long as this, where no answers before it say better.
 */
const APPEND_TIMEOUT_MS = 1_000;
/** And so much more for each byte: a busy disk takes a large commit slowly. */
const APPEND_TIMEOUT_MS_PER_BYTE = 2_000 / (1024 * 1024);
/** While a stream has no leader nobody hears who reads there: it is read again so often, whatever the answers take. */
const HEAD_EVERY_MS = 100;
const HEAD_READS = 5;
/** For longer than a cluster takes to choose one. */
const HEAD_READS_PATIENT = 100;
const HEAD_TIMEOUT_MS = 1_000;
/** Room for headers and subject in the largest message. */
const HEADER_ROOM_BYTES = 4_096;
/** Larger commits only get later, not cheaper. */
const COMMIT_BYTES_MAX = 4 * 1024 * 1024;

/** Another message stands where ours should: a real conflict, or (10164, 10201) one that may be spurious. */
const CONFLICTS = new Set([10_071, 10_164, 10_201]);
/** Certainly not stored: out of storage or memory, message too large, stream sealed or full. */
const REFUSALS = new Set([10_023, 10_028, 10_047, 10_053, 10_054, 10_077, 10_109, 10_122]);

interface PubAck {
  readonly stream?: string;
  readonly seq?: number;
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description: string };
}

export interface LogDeps {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly acks: AckMux;
  readonly subjects: Subjects;
  /** How long an answer is waited for; 1,000 ms at most when absent. */
  readonly retryTime?: RetryTime;
}

export function natsLog(
  { nc, jsm, acks, subjects, retryTime = new RetryTime(APPEND_TIMEOUT_MS) }: LogDeps,
  shard: number,
): ShardLog {
  const subject = subjects.log(shard);
  const stream = subjects.streams.log;
  const bytesMax = Math.min((nc.info?.max_payload ?? 1024 * 1024) - HEADER_ROOM_BYTES, COMMIT_BYTES_MAX);

  let leader: Promise<JetStreamManager> | undefined;
  /** Appends in a row without an answer. */
  let silences = 0;

  return {
    bytesMax,

    async head(until) {
      leader ??= jetstreamManager(nc, { checkAPI: false, timeout: HEAD_TIMEOUT_MS });
      const { streams } = await leader;
      const last = await soonest(
        () => streams.getMessage(stream, { last_by_subj: subject }),
        HEAD_EVERY_MS,
        until === undefined ? HEAD_READS : HEAD_READS_PATIENT,
        until,
      );
      return last === null ? undefined : { seq: last.seq, bytes: last.data };
    },

    async append(bytes, expectedSeq) {
      const hdrs = headers();
      hdrs.set('Nats-Expected-Last-Subject-Sequence', String(expectedSeq));
      const timeoutMs = retryTime.afterMs(silences + 1) + bytes.byteLength * APPEND_TIMEOUT_MS_PER_BYTE;
      const sentAt = performance.now();
      const reply = await acks.request(subject, bytes, hdrs, timeoutMs);
      if (reply.kind === 'answer') retryTime.observe(performance.now() - sentAt);
      silences = reply.kind === 'silence' ? silences + 1 : 0;
      if (reply.kind === 'silence') return { kind: 'unclear', reason: reply.reason };
      if (reply.kind === 'unsendable') return refused(reply.reason);
      return resultOf(parseAck(reply.data));
    },

    async *read(afterSeq, throughSeq) {
      if (afterSeq >= throughSeq) return;
      const consumer = await tidyJetStream(nc).consumers.get(stream, {
        filter_subjects: subject,
        opt_start_seq: afterSeq + 1,
        deliver_policy: DeliverPolicy.StartSequence,
      });
      const messages = await consumer.consume(readOptions(nc));
      try {
        for await (const m of messages) {
          if (m.seq > throughSeq) return;
          yield { seq: m.seq, bytes: m.data };
          // Nothing of this shard may stand at `throughSeq` itself.
          if (m.seq === throughSeq || m.info.pending === 0) return;
        }
      } finally {
        messages.stop();
      }
    },

    async get(seq): Promise<StoredCommit | undefined> {
      const found = await jsm.streams.getMessage(stream, { seq });
      return found === null ? undefined : { seq: found.seq, bytes: found.data };
    },
  };
}

function parseAck(data: Uint8Array): PubAck {
  try {
    return JSON.parse(Buffer.from(data).toString()) as PubAck;
  } catch {
    // Not the server's answer: as unclear as none.
    return {};
  }
}

function resultOf(ack: PubAck): AppendResult {
  if (ack.error === undefined) {
    return ack.seq === undefined
      ? { kind: 'unclear', reason: 'no sequence' }
      : { kind: 'appended', seq: ack.seq };
  }
  const code = ack.error.err_code ?? 0;
  if (CONFLICTS.has(code)) return { kind: 'conflict' };
  if (REFUSALS.has(code)) return refused(`${ack.error.description} (${code})`);
  return { kind: 'unclear', reason: `${ack.error.description} (${code})` };
}

function refused(message: string): AppendResult {
  return { kind: 'refused', error: { code: 'storage_refused', message, retryable: true } };
}
