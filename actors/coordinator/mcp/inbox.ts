/**
 * Messages to a session, from the log, in its order.
 *
 * B1  What was read is a place in the log, not a time: clocks differ, and a commit may be stored after a read that is later
 *     than its time.
 * B2  The place moves behind what was given, never over what was not.
 * B3  What lies in the stream is read without the archive, which need not be at hand here.
 */
import { decodeCommit } from '#runtime/bus/codec';
import { isForbidden } from '#runtime/bus/forbidden';
import { seqStoredAt } from '#runtime/cli/log-stream';
import type { Realm } from '#runtime/cli/realm';
import { facetsOf, messageOf } from '#runtime/index/facets';
import { nodeErrors } from '#runtime/node/errors';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import type { Entry } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';

/** An entry in the order of the log: the sequence of its commit, and its number there. */
interface Place {
  readonly seq: number;
  readonly n: number;
}

interface Read {
  readonly messages: readonly object[];
  /** There are others behind these. */
  readonly more: boolean;
}

type Logs = Pick<Realm, 'openLog' | 'logEnd'>;

export class Inbox {
  readonly #realm: Logs;
  readonly #session: string;
  #unread: Place;

  private constructor(realm: Logs, session: string, unread: Place) {
    this.#realm = realm;
    this.#session = session;
    this.#unread = unread;
  }

  /** From the end that the log has now. */
  static async open(realm: Logs, session: string): Promise<Inbox> {
    return new Inbox(realm, session, { seq: (await endOf(realm)) + 1, n: 0 });
  }

  /** The oldest that were not read; with `since`, ms since the epoch, the oldest from then on, and what is unread begins behind. */
  async read(limit: number, since?: number): Promise<Read> {
    return await mayRead(async () => {
      const log = await this.#realm.openLog();
      const begin = since === undefined ? this.#unread : await placeOf(log, since);
      const messages: object[] = [];
      let end = begin;
      for await (const batch of log.read(begin.seq, Number.MAX_SAFE_INTEGER)) {
        for (const { place, message } of batch.flatMap((commit) => this.#toUs(commit, begin, since))) {
          if (messages.length === limit) {
            this.#unread = place;
            return { messages, more: true };
          }
          messages.push(message);
        }
        end = { seq: (batch.at(-1)?.seq ?? end.seq - 1) + 1, n: 0 };
      }
      this.#unread = end;
      return { messages, more: false };
    });
  }

  #toUs(
    { seq, bytes }: LogMessage,
    begin: Place,
    since: number | undefined,
  ): { readonly place: Place; readonly message: object }[] {
    const { at, entries } = decodeCommit(bytes);
    if (since !== undefined && at < since) return [];
    return entries.flatMap((entry, n) => {
      const isRead = seq === begin.seq && n < begin.n;
      const message = isRead || entry.actor !== this.#session ? undefined : told(entry, at);
      return message === undefined ? [] : [{ place: { seq, n }, message }];
    });
  }
}

async function placeOf(log: LogReader, since: number): Promise<Place> {
  const { first, last } = await log.range();
  return { seq: await seqStoredAt(log, since, first, last), n: 0 };
}

/** 0 for a key that may not read the log: it is told so when it reads. */
async function endOf(realm: Logs): Promise<number> {
  try {
    return await mayRead(() => realm.logEnd());
  } catch (thrown) {
    if (thrown instanceof FabricError && thrown.code === nodeErrors.api_refused.code) return 0;
    throw thrown;
  }
}

/** Throws `api_refused`. */
async function mayRead<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!isForbidden(cause)) throw cause;
    throw new FabricError(nodeErrors.api_refused, 'The server lets this key not read the log', { cause });
  }
}

function told(entry: Entry, at: number): object | undefined {
  const message = messageOf(entry.event);
  if (message === undefined || entry.op === 'dead') return undefined;
  const { performative, conversation, content } = message;
  return { at, from: facetsOf(entry).sender ?? null, performative, conversation, content };
}
