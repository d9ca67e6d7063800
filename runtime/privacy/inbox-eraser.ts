/** Overwrites single messages of the inbox stream on disk, by the server's secure deletion. */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { Subjects } from '#runtime/bus/subjects';
import type { InboxEraser } from './inbox-sweep.ts';
import { eraseMessage, nextMessage } from './nats-data-keys.ts';

/** Deletions under way at a time: each costs the server a write. */
const AT_A_TIME = 16;

export function natsInboxEraser(jsm: JetStreamManager, subjects: Subjects): InboxEraser {
  const stream = subjects.streams.inbox;
  return {
    async erase(seqs) {
      for (let from = 0; from < seqs.length; from += AT_A_TIME) {
        const some = seqs.slice(from, from + AT_A_TIME);
        await Promise.all(some.map((seq) => eraseMessage(jsm, stream, seq)));
      }
    },

    async *stored(shard, type, through) {
      const filter = subjects.queuedOf(shard, type);
      for (let seq = 1; ; ) {
        const message = await nextMessage(jsm, stream, seq, filter);
        if (message === null || message.seq > through) return;
        yield {
          seq: message.seq,
          subject: message.subject,
          body: message.data,
          contentType: message.header.get('Content-Type') || undefined,
        };
        seq = message.seq + 1;
      }
    },
  };
}
