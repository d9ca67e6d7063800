/**
 * The bus of a realm in memory: logs, one inbox stream, dead letters, live events, blobs. It outlives the nodes on it,
 * as a server does, and fails on request.
 *
 * B1  An append is stored only after the message it names as the last of its shard: the fence of the real log.
 * B2  Sequences of a stream only grow, across all its shards.
 * B3  An inbox delivers in the order of the stream, each message once per subscription.
 */
import { decode, encode } from '#runtime/bus/codec';
import { Subjects } from '#runtime/bus/subjects';
import type {
  AppendResult,
  BlobStore,
  Clock,
  DeadLetter,
  InboxMessage,
  MailBundle,
  Outbox,
  ShardInbox,
  ShardLog,
  StoredCommit,
} from '#runtime/shard/ports';
import { FabricError, type WireError } from '#schemas/fabric-error';

/** One write on its way to the bus. */
export interface Operation {
  readonly kind: 'append' | 'mail' | 'dead' | 'blob' | 'release';
  /** The shard that writes; −1 where the bus cannot tell. */
  readonly shard: number;
}

/**
 * What becomes of a write.
 *
 * - `ok`: stored and answered
 * - `lost`: not stored, no clear answer
 * - `unacked`: stored, but the answer is lost
 * - `refused`: certainly not stored
 * - `twice`: stored twice (mail only; otherwise as `ok`)
 */
export type Fate = 'ok' | 'lost' | 'unacked' | 'refused' | 'twice';

export interface MemoryBusOptions {
  readonly shards: number;
  readonly clock: Clock;
  readonly prefix?: string;
  /** Largest commit, bytes. */
  readonly bytesMax?: number;
}

export interface SendOptions {
  readonly id?: string;
  readonly from?: string;
  readonly contentType?: string;
  readonly trace?: string;
}

export interface LiveEvent {
  readonly actor: string;
  readonly name: string;
  readonly body: unknown;
}

/** What the real server takes by default, less room for headers. */
const BYTES_MAX_DEFAULT = 1024 * 1024 - 4_096;

const REFUSED: WireError = {
  code: 'storage_refused',
  message: 'The bus was told to refuse this',
  retryable: true,
};

interface Reader {
  readonly shard: number;
  next: number;
  deliver: (message: InboxMessage) => void;
  paused: boolean;
  pumping: boolean;
  closed: boolean;
}

export class MemoryBus {
  readonly subjects: Subjects;
  readonly bytesMax: number;
  /** Dead letters, oldest first. */
  readonly dead: DeadLetter[] = [];
  /** Live events, oldest first. */
  readonly events: LiveEvent[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  /** Decides the fate of every write; all are `ok` by default. */
  fate: (operation: Operation) => Fate = () => 'ok';
  /** How long an answer takes, ms; nothing by default. */
  delayMs: (operation: Operation) => number = () => 0;
  readonly #clock: Clock;
  readonly #logs: StoredCommit[][];
  readonly #deadIds = new Set<string>();
  readonly #inbox: (InboxMessage & { readonly shard: number })[] = [];
  readonly #readers = new Set<Reader>();
  #logSeq = 0;
  #inboxSeq = 0;

  constructor(options: MemoryBusOptions) {
    this.subjects = new Subjects(options.prefix ?? 'if', options.shards);
    this.bytesMax = options.bytesMax ?? BYTES_MAX_DEFAULT;
    this.#clock = options.clock;
    this.#logs = Array.from({ length: options.shards }, () => []);
  }

  get shards(): number {
    return this.subjects.shards;
  }

  /** Everything stored of a shard's log, oldest first. */
  commits(shard: number): readonly StoredCommit[] {
    return this.#logs[shard] ?? [];
  }

  /** Stored inbox messages, oldest first. */
  get inbox(): readonly InboxMessage[] {
    return this.#inbox;
  }

  /** Stores a send, as a publish to `if.in.<type>.<id>`. Returns its sequence. */
  send(address: string, body: Uint8Array, options: SendOptions = {}): number {
    const { prefix } = this.subjects;
    const shard = this.subjects.shardOf(address);
    const [, , ...tail] = this.subjects.in(address).split('.');
    return this.publish(shard, `${prefix}.q.${shard}.${tail.join('.')}`, body, options);
  }

  /** Stores a raw message in the inbox stream, whatever its subject and body. */
  publish(shard: number, subject: string, body: Uint8Array, options: SendOptions = {}): number {
    const { id, from, contentType, trace } = options;
    const seq = ++this.#inboxSeq;
    this.#inbox.push({ shard, seq, subject, body, contentType, id, from, trace });
    for (const reader of this.#readers) this.#pump(reader);
    return seq;
  }

  log(shard: number): ShardLog {
    const stored = this.#logs[shard] ?? [];
    const operation: Operation = { kind: 'append', shard };
    return {
      bytesMax: this.bytesMax,
      head: async () => stored.at(-1),
      append: async (bytes, expectedSeq) => {
        const fate = this.fate(operation);
        const result = this.#append(stored, bytes, expectedSeq, fate);
        await this.#pause(operation);
        return result;
      },
      async *read(afterSeq, throughSeq) {
        for (const commit of [...stored]) if (commit.seq > afterSeq && commit.seq <= throughSeq) yield commit;
      },
      get: async (seq) => stored.find((commit) => commit.seq === seq),
    };
  }

  inboxOf(shard: number): ShardInbox {
    return {
      open: async (afterSeq, deliver) => {
        const reader: Reader = {
          shard,
          next: afterSeq + 1,
          deliver,
          paused: false,
          pumping: false,
          closed: false,
        };
        this.#readers.add(reader);
        this.#pump(reader);
        return {
          pause() {
            reader.paused = true;
          },
          resume: () => {
            reader.paused = false;
            this.#pump(reader);
          },
          behind: () => this.#inbox.filter((m) => m.shard === shard && m.seq >= reader.next).length,
          close: async () => {
            reader.closed = true;
            this.#readers.delete(reader);
          },
        };
      },
      release: async (seq) => {
        await this.#write({ kind: 'release', shard }, () => {
          const kept = this.#inbox.filter((m) => m.shard !== shard || m.seq > seq);
          this.#inbox.splice(0, this.#inbox.length, ...kept);
        });
      },
    };
  }

  outbox(shard: number): Outbox {
    return {
      mail: (target, bundle) =>
        this.#write({ kind: 'mail', shard }, () => {
          this.publish(target, this.subjects.mail(target, bundle.source), encode(bundle));
        }),
      dead: (letter) =>
        this.#write({ kind: 'dead', shard }, () => {
          // As the stream does by message id.
          if (this.#deadIds.has(letter.id)) return;
          this.#deadIds.add(letter.id);
          this.dead.push(letter);
        }),
      event: (actor, name, body) => {
        this.events.push({ actor, name, body });
      },
    };
  }

  blobStore(shard: number): BlobStore {
    return {
      put: (name, bytes) =>
        this.#write({ kind: 'blob', shard }, () => {
          this.blobs.set(name, bytes);
        }),
      get: async (name) => this.blobs.get(name),
      delete: async (name) => {
        this.blobs.delete(name);
      },
      list: async (prefix) => [...this.blobs.keys()].filter((name) => name.startsWith(prefix)),
    };
  }

  mailOf(message: InboxMessage): MailBundle | undefined {
    return this.subjects.isMail(message.subject) ? (decode(message.body) as MailBundle) : undefined;
  }

  /** B1. */
  #append(stored: StoredCommit[], bytes: Uint8Array, expectedSeq: number, fate: Fate): AppendResult {
    if (fate === 'refused' || bytes.byteLength > this.bytesMax) return { kind: 'refused', error: REFUSED };
    if (fate === 'lost') return { kind: 'unclear', reason: 'The bus was told to lose this' };
    if ((stored.at(-1)?.seq ?? 0) !== expectedSeq) return { kind: 'conflict' };
    const seq = ++this.#logSeq;
    stored.push({ seq, bytes });
    return fate === 'unacked'
      ? { kind: 'unclear', reason: 'The bus was told to lose the answer' }
      : { kind: 'appended', seq };
  }

  async #write(operation: Operation, store: () => void): Promise<void> {
    const fate = this.fate(operation);
    if (fate !== 'lost' && fate !== 'refused') store();
    if (fate === 'twice' && operation.kind === 'mail') store();
    await this.#pause(operation);
    if (fate === 'ok' || fate === 'twice') return;
    throw new FabricError(
      { code: 'storage_refused', retryable: true, help: '' },
      `${operation.kind}: ${fate}`,
    );
  }

  #pause(operation: Operation): Promise<void> | undefined {
    const delayMs = this.delayMs(operation);
    if (delayMs <= 0) return undefined;
    return new Promise((resolve) => void this.#clock.setTimer(resolve, delayMs));
  }

  /** B3: from a task of its own, as from a socket. */
  #pump(reader: Reader): void {
    if (reader.pumping || reader.closed) return;
    reader.pumping = true;
    queueMicrotask(() => {
      reader.pumping = false;
      for (let at = this.#after(reader.next); at < this.#inbox.length; at++) {
        if (reader.closed || reader.paused) return;
        const message = this.#inbox[at];
        if (message === undefined || message.shard !== reader.shard) continue;
        reader.next = message.seq + 1;
        reader.deliver(message);
      }
    });
  }

  /** Index of the first stored message at or behind a sequence. */
  #after(seq: number): number {
    let low = 0;
    let high = this.#inbox.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#inbox[middle]?.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
