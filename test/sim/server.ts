/**
 * The NATS server of a schedule: the log, the inbox, claims, blobs, dead letters and the ask subjects. What it does is
 * done at once and whole; everything that can go wrong on the way to it and back is the link's.
 *
 * B1  An append is stored only after the message it names as the last of its shard.
 * B2  Sequences of a stream only grow, across all its shards.
 */
import { encode } from '#runtime/bus/codec';
import { Subjects } from '#runtime/bus/subjects';
import type {
  AppendResult,
  Ask,
  DeadLetter,
  InboxMessage,
  MailBundle,
  StoredCommit,
} from '#runtime/shard/ports';
import type { WireError } from '#schemas/fabric-error';
import { Rows } from './rows.ts';
import type { World } from './world.ts';

/** How long the inbox knows a message by its id, as the real stream is made. */
const DUPLICATE_WINDOW_MS = 1_000;
const FULL: WireError = { code: 'storage_refused', message: 'The disk is full', retryable: true };

export interface InboxReader {
  readonly shard: number;
  /** Sequence of the last message handed out. */
  last: number;
  /** False where it could not be handed out now. */
  readonly hand: (message: InboxMessage) => boolean;
}

export interface Door {
  readonly shard: number;
  readonly group: string;
  readonly hand: (ask: Ask) => void;
}

export interface ShortDoor {
  readonly hand: (ask: Ask) => void;
}

export interface InboxHeaders {
  readonly id: string | undefined;
  readonly from: string | undefined;
}

export class Guarded {
  highest = 0;
  /** Who wrote under each token. */
  readonly writers = new Map<number, Set<string>>();

  write(token: number, who: string): void {
    if (token < this.highest) return;
    this.highest = token;
    const writers = this.writers.get(token) ?? new Set();
    this.writers.set(token, writers.add(who));
  }
}

/** What looks on where something is stored: the checks. */
export interface ServerWatch {
  appended(shard: number, stored: StoredCommit): void;
  mailed(target: number, bundle: MailBundle): void;
  released(shard: number, seq: number): void;
  claimed(key: string, value: string, revision: number): void;
}

export class Server {
  readonly world: World;
  readonly subjects: Subjects;
  readonly bytesMax: number;
  readonly dead = new Map<string, DeadLetter>();
  readonly blobs = new Map<string, Uint8Array>();
  readonly claims: Rows;
  /** What nodes tell of themselves. */
  readonly members: Rows;
  readonly doors = new Set<Door>();
  readonly shortDoors: ShortDoor[] = [];
  /** What a claim guards: it takes a write under the highest token it has seen, or a higher one. */
  readonly guarded = new Guarded();
  watch: ServerWatch | undefined;
  isUp = true;
  /** A full disk: nothing more is stored in the log and the inbox. */
  isFull = false;
  readonly #logs: StoredCommit[][];
  #inbox: (InboxMessage & { readonly shard: number })[] = [];
  readonly #ids = new Map<string, { readonly seq: number; readonly at: number }>();
  readonly #readers = new Set<InboxReader>();
  #logSeq = 0;
  #inboxSeq = 0;

  constructor(world: World, shards: number, bytesMax: number) {
    this.world = world;
    this.subjects = new Subjects('if', shards);
    this.claims = new Rows(world, 'claim');
    this.members = new Rows(world, 'member');
    this.bytesMax = bytesMax;
    this.#logs = Array.from({ length: shards }, () => []);
  }

  get shards(): number {
    return this.subjects.shards;
  }

  commits(shard: number): readonly StoredCommit[] {
    return this.#logs[shard] ?? [];
  }

  /** Messages of a shard that wait in the stream after a position. */
  behind(shard: number, seq: number): number {
    return this.#inbox.filter((m) => m.shard === shard && m.seq > seq).length;
  }

  /** A server with the same log, and with the same blobs but for snapshots where it is to be without. */
  copy(withSnapshots: boolean): Server {
    const copy = new Server(this.world, this.shards, this.bytesMax);
    for (const [shard, log] of this.#logs.entries()) copy.#logs[shard]?.push(...log);
    copy.#logSeq = this.#logSeq;
    for (const [name, bytes] of this.blobs)
      if (withSnapshots || !name.startsWith('snapshot/')) copy.blobs.set(name, bytes);
    return copy;
  }

  /** B1. */
  append(shard: number, bytes: Uint8Array, expectedSeq: number): AppendResult {
    const log = this.#logs[shard] ?? [];
    if (this.isFull || bytes.byteLength > this.bytesMax) return { kind: 'refused', error: FULL };
    if ((log.at(-1)?.seq ?? 0) !== expectedSeq) return { kind: 'conflict' };
    const stored = { seq: ++this.#logSeq, bytes: bytes.slice() };
    log.push(stored);
    this.world.note(`stored ${shard} ${stored.seq}`);
    this.world.noteBytes(bytes);
    this.watch?.appended(shard, stored);
    return { kind: 'appended', seq: stored.seq };
  }

  /** B2. A send or mail. Throws where nothing more fits. Returns its sequence. */
  publish(shard: number, subject: string, body: Uint8Array, { id, from }: InboxHeaders): number {
    if (this.isFull) throw new Error(FULL.message);
    const { now } = this.world;
    const known = id === undefined ? undefined : this.#ids.get(id);
    if (known !== undefined && now - known.at < DUPLICATE_WINDOW_MS) return known.seq;
    const seq = ++this.#inboxSeq;
    if (id !== undefined) this.#ids.set(id, { seq, at: now });
    this.#inbox.push({ shard, seq, subject, body, contentType: undefined, id, from, trace: undefined });
    this.world.note(`inbox ${shard} ${seq} ${subject}`);
    this.pump();
    return seq;
  }

  mail(target: number, bundle: MailBundle): void {
    this.watch?.mailed(target, bundle);
    this.publish(target, this.subjects.mail(target, bundle.source), encode(bundle), {
      id: undefined,
      from: undefined,
    });
  }

  /** Lets go of what is consumed. */
  release(shard: number, seq: number): void {
    this.watch?.released(shard, seq);
    this.#inbox = this.#inbox.filter((m) => m.shard !== shard || m.seq > seq);
  }

  read(reader: InboxReader): () => void {
    this.#readers.add(reader);
    this.pump();
    return () => this.#readers.delete(reader);
  }

  /** Hands out what can be handed out. */
  pump(): void {
    if (!this.isUp) return;
    this.claims.pump();
    this.members.pump();
    for (const reader of this.#readers) {
      for (const message of this.#inbox) {
        if (message.shard !== reader.shard || message.seq <= reader.last) continue;
        if (!reader.hand(message)) break;
        reader.last = message.seq;
      }
    }
  }

  /** As core NATS: of each group of listeners one gets it. How many got it. */
  ask(shard: number, ask: Ask): number {
    const groups = new Map<string, Door[]>();
    for (const door of this.doors)
      if (door.shard === shard) groups.set(door.group, [...(groups.get(door.group) ?? []), door]);
    for (const doors of groups.values()) this.world.chance.pick(doors).hand(ask);
    return groups.size;
  }

  /** The short form: one of those who listen gets it. */
  askShort(ask: Ask): number {
    if (this.shortDoors.length === 0) return 0;
    this.world.chance.pick(this.shortDoors).hand(ask);
    // Who takes it may hand it on to several.
    return 2;
  }

  putDead(letter: DeadLetter): void {
    if (!this.dead.has(letter.id)) this.dead.set(letter.id, letter);
  }

  /** Writes a claim where it has the revision expected. */
  claim(key: string, value: string, expected: number | undefined, ttlMs: number): number | undefined {
    const revision = this.claims.swap(key, value, expected, ttlMs);
    if (revision !== undefined) this.watch?.claimed(key, value, revision);
    return revision;
  }
}
