/**
 * The bucket of data keys over JetStream. Its stream is like any KV bucket's but for one thing: single messages may be
 * deleted in it, since only the server's secure deletion overwrites a message on disk.
 */

import { createHash } from 'node:crypto';
import {
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type StoredMsg,
} from '@nats-io/jetstream';
import { Kvm, KvWatchInclude } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from '#runtime/bus/tidy-jetstream';
import type { Logger } from '#runtime/shard/ports';
import type { KeyRows } from './data-keys.ts';

/** "wrong last sequence": another write came first. */
const WRONG_LAST_SEQUENCE = 10_071;
/** Codes of a message that is not there (any more). */
const GONE: ReadonlySet<number> = new Set([10_037, 10_043, 10_057]);
const CHECK_KEY = 'realm.check';

export async function natsKeyRows(nc: NatsConnection, bucket: string, logger?: Logger): Promise<KeyRows> {
  const jsm = await jetstreamManager(nc, { timeout: JETSTREAM_TIMEOUT_MS });
  const js = jetstream(nc, { timeout: JETSTREAM_TIMEOUT_MS });
  const stream = streamOf(bucket);
  const prefix = `$KV.${bucket}.`;
  const subjectOf = (subject: string): string => `${prefix}subject.${hashOf(subject)}`;

  const read = async (key: string): Promise<{ row: unknown; revision: number } | undefined> => {
    // At the leader: a direct read may be older than what was acknowledged.
    const message = await jsm.streams.getMessage(stream, { last_by_subj: key });
    if (message === null) return undefined;
    return { row: jsonOf(message.data), revision: message.seq };
  };

  const write = async (key: string, value: unknown, revision: number): Promise<boolean> => {
    try {
      await js.publish(key, JSON.stringify(value), { expect: { lastSubjectSequence: revision } });
      return true;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return false;
      throw error;
    }
  };

  return {
    get: (subject) => read(subjectOf(subject)),
    put: (subject, row, revision) => write(subjectOf(subject), row, revision),

    async erase(subject, before) {
      let erased = 0;
      for (let seq = 1; ; ) {
        const message = await nextMessage(jsm, stream, seq, subjectOf(subject));
        if (message === null || message.seq >= before) return erased;
        await eraseMessage(jsm, stream, message.seq);
        erased += 1;
        seq = message.seq + 1;
      }
    },

    async watch(changed, lost) {
      let isClosed = false;
      void (async () => {
        for await (const { type } of nc.status()) {
          if (isClosed) return;
          if (type === 'disconnect' || type === 'reconnect') lost();
        }
      })();
      const kv = await new Kvm(tidyJetStream(nc, { timeout: JETSTREAM_TIMEOUT_MS })).open(bucket);
      const entries = await kv.watch({ include: KvWatchInclude.UpdatesOnly });
      const done = (async () => {
        for await (const entry of entries) {
          if (entry.operation === 'PUT') changed(jsonOf(entry.value), entry.revision);
        }
      })().catch((error: unknown) => {
        logger?.error({ error: (error as Error).message }, 'data_keys_not_watched');
      });
      return {
        async close() {
          isClosed = true;
          entries.stop();
          await done;
        },
      };
    },

    async check(mark) {
      const key = prefix + CHECK_KEY;
      for (;;) {
        const found = await read(key);
        if (found !== undefined) return String((found.row as { check?: unknown } | undefined)?.check);
        if (mark === undefined) return undefined;
        await write(key, { check: mark }, 0);
      }
    },
  };
}

/** The first message of a subject from a sequence on, read at the leader; null where there is none. */
export async function nextMessage(
  jsm: JetStreamManager,
  stream: string,
  seq: number,
  subject: string,
): Promise<StoredMsg | null> {
  // The server's request has the field; the client's type of it does not.
  const query = { seq, next_by_subj: subject } as { readonly seq: number };
  return await jsm.streams.getMessage(stream, query);
}

/** Overwrites a message on the disks of its stream and removes it; one that is gone already is no fault. */
export async function eraseMessage(jsm: JetStreamManager, stream: string, seq: number): Promise<void> {
  try {
    await jsm.streams.deleteMessage(stream, seq, true);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || !GONE.has(error.code)) throw error;
  }
}

function streamOf(bucket: string): string {
  return `KV_${bucket}`;
}

/** Subjects are any text; keys of a bucket are not. */
function hashOf(subject: string): string {
  return createHash('sha256').update(subject).digest('hex');
}

/** Undefined where it is no JSON: who may write the bucket may have written anything. */
function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
}
