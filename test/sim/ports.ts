/** The ports of a shard, over the link of its process. */
import type { LeaseRow, LeaseStore } from '#runtime/claims/lease-store';
import type { MemberStore } from '#runtime/members/store';
import type {
  AppendResult,
  Ask,
  AskDoor,
  BlobStore,
  EdgeGate,
  InboxMessage,
  Outbox,
  ShardInbox,
  ShardLog,
  StoredCommit,
} from '#runtime/shard/ports';
import { type Link, NoAnswer } from './link.ts';
import type { Process } from './process.ts';
import type { Heard, Rows } from './rows.ts';
import type { Server } from './server.ts';

/** As the real ones wait. */
const APPEND_TIMEOUT_MS = 5_000;
const PUBLISH_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 2_000;
const DRAIN_MS_MAX = 500;

/** Deliveries of a connection to its process, in order; false where it is cut. */
export type Hear = (name: string, arrive: () => void) => boolean;

/** A connection with what stands at both of its ends. */
export interface Wire {
  readonly process: Process;
  readonly link: Link;
  readonly server: Server;
}

/** No signed messages in schedules. */
export const openGate: EdgeGate = {
  eventOf: () => {
    throw new Error('invariant: no envelopes here');
  },
  check: () => ({ ok: false, error: { code: 'no_gate', message: 'no envelopes here', retryable: false } }),
};

export function simLog({ link, server }: Wire, shard: number): ShardLog {
  const read = <T>(name: string, handle: () => T): Promise<T> =>
    link.request({ name: `${name} ${shard}`, handle, timeoutMs: REQUEST_TIMEOUT_MS });
  return {
    bytesMax: server.bytesMax,
    head: () => read('head', () => server.commits(shard).at(-1)),
    append: (bytes, expectedSeq): Promise<AppendResult> =>
      link
        .request<AppendResult>({
          name: `append ${shard} after ${expectedSeq}`,
          handle: () => server.append(shard, bytes, expectedSeq),
          timeoutMs: APPEND_TIMEOUT_MS,
        })
        .catch((error: unknown) => {
          if (error instanceof NoAnswer) return { kind: 'unclear', reason: error.message };
          throw error;
        }),
    async *read(afterSeq, throughSeq) {
      const found = await read('read', () =>
        server.commits(shard).filter(({ seq }) => seq > afterSeq && seq <= throughSeq),
      );
      for (const stored of found) yield stored;
    },
    get: (seq): Promise<StoredCommit | undefined> =>
      read(`get ${seq}`, () => server.commits(shard).find((stored) => stored.seq === seq)),
  };
}

export function simInbox({ process, link, server }: Wire, shard: number): ShardInbox {
  return {
    async open(afterSeq, deliver) {
      const stream = link.stream();
      let isPaused = false;
      let isClosed = false;
      /** Came while it was paused. */
      let waiting: InboxMessage[] = [];
      const take = (message: InboxMessage): void => {
        if (isClosed) return;
        if (isPaused) waiting.push(message);
        else deliver(message);
      };
      const reader = {
        shard,
        last: afterSeq,
        hand: (message: InboxMessage) => stream(`inbox ${shard} ${message.seq}`, () => take(message)),
      };
      let stop = (): void => {};
      const close = async (): Promise<void> => {
        isClosed = true;
        stop();
      };
      process.onDeath(() => stop());
      link.signal(`consume ${shard} after ${afterSeq}`, () => {
        if (!isClosed) stop = server.read(reader);
      });
      return {
        pause() {
          isPaused = true;
        },
        resume() {
          isPaused = false;
          const came = waiting;
          waiting = [];
          for (const message of came) take(message);
        },
        behind: () => waiting.length + server.behind(shard, reader.last),
        close,
      };
    },
    release: (seq) =>
      link.request({
        name: `release ${shard} ${seq}`,
        handle: () => server.release(shard, seq),
        timeoutMs: REQUEST_TIMEOUT_MS,
      }),
  };
}

export function simOutbox({ link, server }: Wire): Outbox {
  return {
    mail: (target, bundle) =>
      link.request({
        name: `mail ${bundle.source}>${target} ${bundle.index}`,
        handle: () => server.mail(target, bundle),
        timeoutMs: PUBLISH_TIMEOUT_MS,
        lateAnswers: false,
        repeatable: true,
      }),
    dead: (letter) =>
      link.request({
        name: `dead ${letter.id}`,
        handle: () => server.putDead(letter),
        timeoutMs: PUBLISH_TIMEOUT_MS,
        repeatable: true,
      }),
    event: () => {},
  };
}

export function simBlobs({ link, server }: Wire): BlobStore {
  const request = <T>(name: string, handle: () => T): Promise<T> =>
    link.request({ name, handle, timeoutMs: REQUEST_TIMEOUT_MS, lateAnswers: false });
  return {
    put: (name, bytes) => {
      const copy = bytes.slice();
      return request(`put ${name}`, () => {
        if (server.isFull) throw new Error('The disk is full');
        server.world.noteBytes(copy);
        server.blobs.set(name, copy);
      });
    },
    get: (name) => request(`fetch ${name}`, () => server.blobs.get(name)),
    delete: (name) => request(`delete ${name}`, () => void server.blobs.delete(name)),
    list: (prefix) =>
      request(`list ${prefix}`, () => [...server.blobs.keys()].filter((n) => n.startsWith(prefix))),
  };
}

/** Watches rows; resolves once every row that is there was told. */
function watchRows(
  { process, link }: Wire,
  rows: Rows,
  prefix: string,
  heard: Heard,
): Promise<{ close(): Promise<void> }> {
  const stream = link.stream();
  let isClosed = false;
  let stop = (): void => {};
  process.onDeath(() => stop());
  const watch = {
    async close() {
      isClosed = true;
      stop();
    },
  };
  return new Promise((resolve) => {
    const hand = (key: string, row: LeaseRow | undefined): boolean =>
      stream(`row ${key}`, () => {
        if (!isClosed) heard(key, row);
      });
    link.signal(`watch ${prefix}`, () => {
      if (isClosed) return;
      stop = rows.watch(prefix, hand);
      const tellEnd = (): void => {
        if (!stream(`rows ${prefix}`, () => resolve(watch))) link.signal(`watching ${prefix}`, tellEnd);
      };
      tellEnd();
    });
  });
}

export function simLeases(wire: Wire): LeaseStore {
  const { link, server } = wire;
  const request = <T>(name: string, handle: () => T): Promise<T> =>
    link.request({ name, handle, timeoutMs: REQUEST_TIMEOUT_MS });
  return {
    create: (key, value, ttlMs) => request(`create ${key}`, () => server.claim(key, value, undefined, ttlMs)),
    update: (key, value, revision, ttlMs) =>
      request(`renew ${key} ${revision}`, () => server.claim(key, value, revision, ttlMs)),
    remove: (key, revision) => request(`free ${key} ${revision}`, () => server.claims.remove(key, revision)),
    get: (key) => request(`look ${key}`, () => server.claims.get(key)),
    watchFreed: (key, freed) =>
      watchRows(wire, server.claims, key, (_, row) => {
        if (row === undefined) freed();
      }),
    watch: (prefix, heard) => watchRows(wire, server.claims, prefix, heard),
  };
}

export function simMembers(wire: Wire): MemberStore {
  const { link, server } = wire;
  const request = <T>(name: string, handle: () => T): Promise<T> =>
    link.request({ name, handle, timeoutMs: REQUEST_TIMEOUT_MS });
  return {
    put: (key, value, ttlMs) => request(`tell ${key}`, () => void server.members.put(key, value, ttlMs)),
    remove: (key) => request(`untell ${key}`, () => server.members.remove(key)),
    get: (key) => request(`ask for ${key}`, () => server.members.get(key)?.value),
    watch: (heard) => watchRows(wire, server.members, '', (key, row) => heard(key, row?.value)),
  };
}

/** The door of a shard: a subscription that the server knows of once it has heard of it. */
export function simAsks(
  { process, link, server }: Wire,
  shard: number,
  group: string,
  hear: Hear,
  hand: (ask: Ask, arrive: (ask: Ask) => void) => void,
): AskDoor {
  return {
    open(deliver) {
      let isClosed = false;
      const door = {
        shard,
        group,
        hand: (ask: Ask) =>
          hand(ask, (arrived) => {
            if (!isClosed) deliver(arrived);
          }),
      };
      const forget = (): void => void server.doors.delete(door);
      process.onDeath(forget);
      link.signal(`listen ${shard}`, () => {
        if (!isClosed) server.doors.add(door);
      });
      return {
        // What the server has sent by then is still taken.
        close: () =>
          new Promise((resolve) => {
            const end = (): void => {
              isClosed = true;
              process.clock.clearTimer(late);
              resolve();
            };
            const late = process.clock.setTimer(end, DRAIN_MS_MAX);
            link.signal(`unlisten ${shard}`, () => {
              forget();
              hear(`unlistened ${shard}`, end);
            });
          }),
      };
    },
  };
}
