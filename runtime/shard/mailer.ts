/**
 * Carries what commits want done outside: mail to other shards and dead letters.
 *
 * M1  Mail for one target leaves in commit order: after a failure everything from the failed bundle on goes again.
 * M2  A bundle names the bundle before it (`prev`), so a receiver takes bundles in order, each once, for ever.
 * M3  `actedThrough` never passes a commit of which something is not known to be stored.
 */
import { encode } from '#runtime/bus/codec';
import type { Commit, Entry } from '#schemas/commit';
import { toWireError } from '#schemas/fabric-error';
import { bodyName } from './bodies.ts';
import type { BlobStore, Clock, DeadLetter, Logger, MailBundle, Outbox } from './ports.ts';
import { senderOf } from './work.ts';

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 5_000;

/** One thing to be stored outside: a bundle for a shard, or a dead letter. */
export type Parcel =
  | { readonly kind: 'mail'; readonly index: number; readonly target: number; readonly bundle: MailBundle }
  | { readonly kind: 'dead'; readonly index: number; readonly letter: DeadLetter };

/** The parcels of a commit. `sentBefore` is the index of the last commit with mail for a target, before this one. */
export function parcelsOf(
  commit: Commit,
  shardOf: (address: string) => number,
  sentBefore: (target: number) => number,
): Parcel[] {
  const parcels: Parcel[] = [];
  const byTarget = new Map<number, { n: number; mail: NonNullable<Commit['mail']>[number] }[]>();
  for (const [n, mail] of (commit.mail ?? []).entries()) {
    const target = shardOf(mail.to);
    if (target === commit.shard) continue;
    const items = byTarget.get(target);
    if (items === undefined) byTarget.set(target, [{ n, mail }]);
    else items.push({ n, mail });
  }
  for (const [target, items] of byTarget) {
    const bundle = { source: commit.shard, index: commit.index, prev: sentBefore(target), items };
    parcels.push({ kind: 'mail', index: commit.index, target, bundle });
  }
  for (const [n, entry] of commit.entries.entries()) {
    if (entry.op === 'dead' && isDeadLettered(entry)) {
      parcels.push({ kind: 'dead', index: commit.index, letter: deadLetterOf(commit, entry, n) });
    }
  }
  return parcels;
}

/** An ask refused at the door has told its sender; everything else that died is kept for an operator. */
function isDeadLettered(entry: Entry): boolean {
  return entry.cause.kind !== 'ask' || entry.error?.code === 'machine_threw';
}

function deadLetterOf(commit: Commit, entry: Entry, n: number): DeadLetter {
  const from = senderOf(entry.cause);
  const { raw, blob } = entry;
  const body =
    blob === undefined
      ? {
          body: raw?.body ?? encode(entry.event ?? null),
          contentType: raw === undefined ? 'application/msgpack' : raw.contentType,
        }
      : { body: new Uint8Array(), blob: blob.hash, contentType: blob.contentType };
  return {
    actor: entry.actor,
    id: `${commit.shard}.${commit.index}.${n}`,
    error: entry.error ?? { code: 'internal', message: 'no reason was recorded', retryable: false },
    ...body,
    from,
    at: commit.at,
    shard: commit.shard,
    index: commit.index,
  };
}

export interface MailerDeps {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly blobs: BlobStore;
}

export class Mailer {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #blobs: BlobStore;
  /** Waiting or under way, per lane, in order. A lane is a target shard, or `dead`. */
  readonly #lanes = new Map<number | 'dead', Parcel[]>();
  readonly #busy = new Set<number | 'dead'>();
  #retryTimers = new Set<unknown>();
  #closed = false;

  constructor(deps: MailerDeps) {
    this.#outbox = deps.outbox;
    this.#clock = deps.clock;
    this.#log = deps.logger;
    this.#blobs = deps.blobs;
  }

  add(parcels: readonly Parcel[]): void {
    for (const parcel of parcels) {
      const lane = parcel.kind === 'mail' ? parcel.target : 'dead';
      const waiting = this.#lanes.get(lane);
      if (waiting === undefined) this.#lanes.set(lane, [parcel]);
      else waiting.push(parcel);
      this.#flush(lane);
    }
  }

  /** M3: the last commit up to which every parcel is stored, given that `index` is the newest one. */
  actedThrough(index: number): number {
    let through = index;
    for (const parcels of this.#lanes.values()) {
      const first = parcels[0];
      if (first !== undefined && first.index <= through) through = first.index - 1;
    }
    return through;
  }

  get size(): number {
    let size = 0;
    for (const parcels of this.#lanes.values()) size += parcels.length;
    return size;
  }

  /** Everything not known to be stored. */
  pending(): Parcel[] {
    return [...this.#lanes.values()].flat();
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#retryTimers) this.#clock.clearTimer(timer);
  }

  #flush(lane: number | 'dead', attempt = 0): void {
    if (this.#closed || this.#busy.has(lane)) return;
    const parcels = this.#lanes.get(lane);
    if (parcels === undefined || parcels.length === 0) return;
    this.#busy.add(lane);
    const sending = [...parcels];
    void Promise.allSettled(sending.map((parcel) => this.#store(parcel))).then((results) => {
      this.#busy.delete(lane);
      const failedAt = results.findIndex((r) => r.status === 'rejected');
      // M1: what follows a failure goes again behind it.
      parcels.splice(0, failedAt < 0 ? sending.length : failedAt);
      const failure = results[failedAt];
      if (failure?.status !== 'rejected') return this.#flush(lane);
      const tries = failedAt > 0 ? 0 : attempt;
      const delayMs = Math.min(RETRY_FIRST_MS * 2 ** tries, RETRY_MAX_MS);
      this.#log.warn(
        { lane, waiting: parcels.length, delayMs, error: toWireError(failure.reason) },
        'outbox_retry',
      );
      this.#busy.add(lane);
      const timer = this.#clock.setTimer(() => {
        this.#retryTimers.delete(timer);
        this.#busy.delete(lane);
        this.#flush(lane, tries + 1);
      }, delayMs);
      this.#retryTimers.add(timer);
    });
  }

  #store(parcel: Parcel): Promise<void> {
    return parcel.kind === 'mail'
      ? this.#outbox.mail(parcel.target, parcel.bundle)
      : this.#dead(parcel.letter);
  }

  /** A letter is whole, whatever the size of its body, so that it can be sent again. */
  async #dead(letter: DeadLetter): Promise<void> {
    if (letter.blob === undefined) return await this.#outbox.dead(letter);
    const body = await this.#blobs.get(bodyName(letter.blob));
    await this.#outbox.dead({ ...letter, ...(body !== undefined && { body }) });
  }
}
