/** What the log says happened, and what is wrong with the log itself. */
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import type { StoredCommit } from '#runtime/shard/ports';
import type { Commit, Entry, Mail, TimerRecord } from '#schemas/commit';
import type { Server } from './server.ts';
import type { World } from './world.ts';

export interface LoggedEntry {
  readonly entry: Entry;
  readonly commit: Commit;
  readonly n: number;
}

export type SetTimer = Exclude<TimerRecord, { readonly cancel: true }>;

export class History {
  readonly entries: LoggedEntry[] = [];
  /** Entries that asks and sends made. */
  readonly arrivals: LoggedEntry[] = [];
  /** By `shard/index/n`. */
  readonly mail = new Map<string, Mail>();
  readonly mailTaken = new Map<string, number>();
  readonly timers = new Map<string, SetTimer>();
  readonly timersFired = new Map<string, number>();
  readonly effects = new Map<string, { readonly driver: string }>();
  readonly effectsDone = new Map<string, number>();
  readonly #heads = new Map<number, { readonly commit: Commit; readonly hash: Uint8Array }>();
  readonly #world: World;

  constructor(world: World, server: Server) {
    this.#world = world;
    for (let shard = 0; shard < server.shards; shard++)
      for (const stored of server.commits(shard)) this.#add(shard, stored);
  }

  #add(shard: number, { seq, bytes }: StoredCommit): void {
    const commit = decodeCommit(bytes);
    this.#checkLink(shard, seq, commit);
    this.#heads.set(shard, { commit, hash: sha256(bytes) });
    for (const [n, mail] of (commit.mail ?? []).entries())
      this.mail.set(`${shard}/${commit.index}/${n}`, mail);
    for (const timer of commit.timers ?? [])
      if (!('cancel' in timer)) this.timers.set(timerKey(timer), timer);
    for (const effect of commit.effects ?? [])
      if (!('cancel' in effect)) this.effects.set(effect.key, effect);
    for (const [n, entry] of commit.entries.entries()) this.#addEntry({ entry, commit, n });
  }

  #addEntry(logged: LoggedEntry): void {
    const { entry, commit } = logged;
    const { cause, actor } = entry;
    this.entries.push(logged);
    switch (cause.kind) {
      case 'ask':
      case 'inbox':
        this.arrivals.push(logged);
        return;
      case 'mail':
        count(this.mailTaken, `${cause.shard}/${cause.index}/${cause.n}`);
        return;
      case 'timer':
        count(this.timersFired, timerKey({ actor, ...cause }));
        if (commit.at < cause.dueAt) this.#world.violate(`timer ${cause.id} of ${actor} fired early`);
        return;
      case 'effect':
        count(this.effectsDone, cause.key);
        return;
    }
  }

  /** One chain per shard, with one writer at a time. */
  #checkLink(shard: number, seq: number, commit: Commit): void {
    const head = this.#heads.get(shard);
    const wrong = (what: string): void =>
      this.#world.violate(`log of shard ${shard}, message ${seq}: ${what}`);
    if (commit.shard !== shard) wrong(`it is of shard ${commit.shard}`);
    if (commit.index !== (head?.commit.index ?? -1) + 1) wrong(`commit ${commit.index} is out of line`);
    if (head === undefined) return;
    const { commit: last, hash } = head;
    if (Buffer.compare(commit.prev, hash) !== 0) wrong('the link is broken');
    if (commit.at < last.at) wrong('time runs backwards');
    if (commit.consumed < last.consumed || commit.acted < last.acted) wrong('a position runs backwards');
    const isEpoch = commit.node !== undefined;
    if (commit.epoch !== last.epoch + (isEpoch ? 1 : 0)) wrong(`epoch ${commit.epoch} after ${last.epoch}`);
  }
}

export function timerKey({ actor, id, dueAt }: { actor: string; id: string; dueAt: number }): string {
  return `${actor} ${id} ${dueAt}`;
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
