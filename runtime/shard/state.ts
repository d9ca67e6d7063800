/**
 * Everything a shard knows, rebuilt by folding its log. Changed only by `step.ts` (actors, timers, effects) and by
 * `settle.ts` (positions and tables of the doors).
 */

import type { MachineRegistry } from '#runtime/machine/types';
import type { Mail } from '#schemas/commit';
import { Dedupe } from './dedupe.ts';
import { IdsOfLog, type Incoming } from './import.ts';
import { Needs } from './needs.ts';
import type { PendingEffect } from './ports.ts';
import { ActorTable } from './table.ts';
import { TimerQueue } from './timers.ts';

/** Committed mail inside the shard that waits for its step. */
export interface LocalMail {
  readonly index: number;
  readonly n: number;
  readonly mail: Mail;
}

/** How far the mail of another shard is consumed: item `n` of its commit `index`, and whether that commit is complete. */
export interface MailMark {
  readonly index: number;
  readonly n: number;
}

export interface SenderMark {
  readonly seq: number;
  /** Time of its commit, ms since the epoch. */
  readonly at: number;
}

export interface ShardState {
  readonly shard: number;
  readonly registry: MachineRegistry;
  readonly shardOf: (address: string) => number;
  readonly actors: ActorTable;
  readonly timers: TimerQueue;
  /** Effects without a result, by key. */
  readonly effects: Map<string, PendingEffect>;
  readonly dedupe: Dedupe;
  /** Machine versions that a recovery needs. */
  readonly needs: Needs;
  /** Last accepted `seq` of signed messages, by sender and actor: one message may be for several actors. */
  readonly senders: Map<string, SenderMark>;
  /** By `index/n`, oldest first. */
  readonly localMail: Map<string, LocalMail>;
  /** High-water mark per source shard. */
  readonly marks: Map<number, MailMark>;
  /** Index of the last commit that had mail for a target shard. */
  readonly sent: Map<number, number>;
  /** Parts of an import that may yet count. */
  incoming: Incoming | undefined;
  readonly idsOfLog: IdsOfLog;
  /** Index of the last commit; −1 before the first. */
  index: number;
  /** Hash of the last commit's stored bytes. */
  prev: Uint8Array;
  /** Sequence of the last commit in the log stream; 0 before the first. */
  seq: number;
  /** Time of the last commit. */
  at: number;
  epoch: number;
  /** Position in the inbox stream. */
  consumed: number;
  /** Outside acts of commits up to here are done. */
  acted: number;
  /** Check after every step that state and output can be encoded: set after a batch that could not. */
  careful: boolean;
}

export interface ShardStateOptions {
  readonly shard: number;
  readonly registry: MachineRegistry;
  readonly shardOf: (address: string) => number;
  readonly dedupeWindow: number;
  /** Of this process: see {@link Dedupe}. */
  readonly dedupeSeed: number;
}

export function emptyState(options: ShardStateOptions): ShardState {
  return {
    shard: options.shard,
    registry: options.registry,
    shardOf: options.shardOf,
    actors: new ActorTable(),
    timers: new TimerQueue(),
    effects: new Map(),
    dedupe: new Dedupe(options.dedupeWindow, options.dedupeSeed),
    needs: new Needs(),
    senders: new Map(),
    localMail: new Map(),
    marks: new Map(),
    sent: new Map(),
    incoming: undefined,
    idsOfLog: new IdsOfLog(),
    index: -1,
    prev: new Uint8Array(32),
    seq: 0,
    at: 0,
    epoch: 0,
    consumed: 0,
    acted: -1,
    careful: false,
  };
}
