/** What a replay gives: plain data, as it crosses the border of the process that runs the machines. */
import type { Entry } from '#schemas/commit';

/** An actor's state as people look at it. */
export interface ActorView {
  readonly machine: string;
  readonly status: string;
  readonly value: unknown;
  readonly context: unknown;
}

/** Place of an entry. */
export interface EntryPlace {
  /** Sequence in the log. */
  readonly seq: number;
  readonly shard: number;
  readonly index: number;
  /** Number of the entry in its commit, from 0. */
  readonly n: number;
  /** Time of the commit, ms since the epoch. */
  readonly at: number;
}

/** One entry with the states around it. */
export interface ReplayStep extends EntryPlace {
  readonly entry: Entry;
  /** Absent where no actor lived there. */
  readonly before?: ActorView;
  readonly after?: ActorView;
}

/** What a step made beside its state. */
export interface Made {
  readonly after?: ActorView;
  readonly op?: string;
  readonly reply?: unknown;
  readonly error?: unknown;
  readonly log?: unknown;
  readonly mail: readonly unknown[];
  readonly effects: readonly unknown[];
  readonly timers: readonly unknown[];
}

/** Where the log and the machines of now part. */
export interface Divergence extends EntryPlace {
  readonly actor: string;
  readonly machine: string | undefined;
  readonly event: unknown;
  /** The state before the entry; absent where no actor lived there. */
  readonly before?: ActorView;
  /**
   * What the commit recorded of its outcome: value, reply, error, log lines, and the mail, effect or timer that differs.
   * The context is in no commit, only its digest.
   */
  readonly recorded: Readonly<Record<string, unknown>>;
  readonly replayed: Readonly<Record<string, unknown>>;
  /** The whole state that the machine of now makes in this entry. */
  readonly after?: ActorView;
  /** False where all that is recorded of it agrees and only the digest differs: the context is another, of one of the suspects. */
  readonly isExact: boolean;
  readonly suspects: readonly string[];
}

/** Where an actor's history parts under another machine. */
export interface Parting extends EntryPlace {
  readonly actor: string;
  readonly event: unknown;
  readonly was: Made;
  readonly wouldBe: Made;
}

/** Something that the process of the machines tried and was not let do. */
export interface Refusal {
  /** Node's name of the right (FileSystemRead, FileSystemWrite, Net, …), or Module for what is none of a machine's business. */
  readonly permission: string;
  readonly resource: string;
  readonly count: number;
}

export interface ReplaySummary {
  /** Sequence of the first commit that was folded: 1, or what follows the snapshots. */
  readonly from: number;
  readonly commits: number;
  readonly entries: number;
  readonly actors: number;
  /** Commits whose state digest was made again and agreed, with all else that they record. */
  readonly digests: number;
  readonly divergence?: Divergence;
  readonly partings: readonly Parting[];
  /** Actors whose history another machine changed. */
  readonly parted: number;
  /** Actors that ran on the machine in question. */
  readonly compared: number;
  readonly refused: readonly Refusal[];
}

/** Which steps are wanted. */
export interface StepFilter {
  readonly actor?: string;
  /** Trace id, or a part of a traceparent. */
  readonly trace?: string;
}
