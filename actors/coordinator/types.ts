/** The vocabulary of the coordinator's client. */
import type { Verdict } from '#schemas/assignment';
import type { BoardReply } from '#schemas/board';
import type { Submission } from '#schemas/completion';
import type { RoundView } from '#schemas/round';
import type { SessionEventName, SessionInput, SessionView } from '#schemas/session';
import type { SwarmTemplate, SwarmView } from '#schemas/swarm';
import type { Said, TaskReply, TaskSpecInput, TaskStatus } from '#schemas/task';
import type { TaskEventName, TaskView } from '#schemas/task-view';

/** A task that this client has; it renews the lease until it is lost or given back. */
export interface Claim {
  readonly task: string;
  /** Fencing token: goes with every write. */
  readonly token: number;
  /** Resolves with the reason when the lease is lost; never after the claim ended otherwise. */
  readonly lost: Promise<string>;
}

export type ClaimResult =
  | { readonly won: true; readonly claim: Claim }
  | { readonly won: false; readonly code: string; readonly reason: string };

export interface TaskFilter {
  readonly status?: TaskStatus | readonly TaskStatus[];
  readonly worker?: string;
  readonly requires?: string;
  readonly filler?: boolean;
}

/** Something a session may do now, the best first. */
export interface Candidate {
  readonly task: TaskView;
  /** |required ∩ has| / |required|, 0–1. */
  readonly match: number;
  /** Of a governed task: every factor. */
  readonly verdict?: Verdict;
}

/** Why a task is not running, or why somebody got it. */
export interface Why {
  readonly task: TaskView;
  /** Sentences, the most important first. */
  readonly reasons: readonly string[];
  /** What they leave out because the key of this client may not see it, in sentences. */
  readonly unseen: readonly string[];
}

export type Submitted = Partial<Submission>;

export interface TaskNews {
  readonly kind: 'task';
  readonly event: TaskEventName;
  readonly task: TaskView;
}

export interface SessionNews {
  readonly kind: 'session';
  readonly event: SessionEventName;
  readonly session: SessionView;
  /** What the event says besides. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** What is heard of: an id, or `*` for all; where neither is named, all tasks. */
export interface WatchFilter {
  readonly task?: string;
  readonly session?: string;
  /** These events alone: others are not even sent. */
  readonly events?: readonly (TaskEventName | SessionEventName)[];
}

export interface CoordinatorOptions {
  /** Board of this realm. Default `main`. */
  readonly board?: string;
  /** Lease of claims and presence, ms. Default 30,000. */
  readonly leaseMs?: number;
  /**
   * How leases are taken: straight in the bucket, or by asking a node. Default: `node` over TLS (who signs on to a secure
   * realm from outside may not write to buckets), `bucket` otherwise.
   */
  readonly leases?: 'bucket' | 'node';
  /** Asks tasks and sessions in signed IFMessages: for kinds whose door takes no others. */
  readonly signed?: boolean;
}

/**
 * What a worker, a person or a tool does with tasks and sessions. Refusals of tasks are results; faults are thrown as
 * FabricErrors.
 */
export interface CoordinatorClient extends AsyncDisposable {
  /** Address of who acts: what the client was opened as (`from`). */
  readonly as: string;
  /** Adds tasks in batches; all of a batch or none. Dependencies may come in later batches. */
  addTasks(tasks: readonly TaskSpecInput[]): Promise<BoardReply>;
  tasks(filter?: TaskFilter): Promise<readonly TaskView[]>;
  /** Undefined where there is none. */
  task(id: string): Promise<TaskView | undefined>;
  /** Takes a free task; exactly one of all who try gets it. */
  claim(id: string): Promise<ClaimResult>;
  /**
   * Renews now; claims renew by themselves. False where the lease is lost (`lost` of the claim says why), or where it is not
   * known that it was renewed: nobody answered.
   */
  renew(id: string): Promise<boolean>;
  release(id: string, reason?: string): Promise<TaskReply>;
  transfer(id: string, to: string): Promise<TaskReply>;
  /** Says no to an offer: it goes to the next, and does not come again before the session asks for work anew. */
  decline(id: string, reason?: string): Promise<void>;
  /** Takes over the lease of a task that was transferred to us, also as soon as that is told, or that we had before a crash. */
  adopt(id: string): Promise<ClaimResult>;
  progress(id: string, milestone: number, note?: string): Promise<TaskReply>;
  block(id: string, on: string, kind?: 'task' | 'person' | 'resource', reason?: string): Promise<TaskReply>;
  unblock(id: string): Promise<TaskReply>;
  askHelp(id: string, reason?: string, requires?: readonly string[]): Promise<TaskReply>;
  join(id: string): Promise<TaskReply>;
  leave(id: string): Promise<TaskReply>;
  say(id: string, content: unknown, performative?: string): Promise<TaskReply>;
  /** The newest messages, oldest first. */
  conversation(id: string): Promise<readonly Said[]>;
  complete(id: string, submission?: Submitted): Promise<TaskReply>;
  fail(id: string, reason?: string): Promise<TaskReply>;
  cancel(id: string, reason?: string): Promise<TaskReply>;
  retry(id: string, reason?: string): Promise<TaskReply>;
  override(id: string, reason: string): Promise<TaskReply>;
  amend(
    id: string,
    changes: { readonly priority?: number; readonly deadline?: number | null; readonly title?: string },
  ): Promise<TaskReply>;
  /**
   * Registers `as`, present until `closeSession`, the end of this client, or a lease time of silence, after which it comes
   * back by itself unless another process has its place. What it had claimed before a crash and still holds is adopted: the
   * ids.
   */
  registerSession(session?: Partial<Omit<SessionInput, 'id'>>): Promise<readonly string[]>;
  /** Renews presence now; it renews by itself. False where it was lost, or is not known to be renewed. */
  heartbeat(): Promise<boolean>;
  /** Leaves, and lets the lease go; nothing where another process has taken the session over. */
  closeSession(): Promise<void>;
  sessions(): Promise<readonly SessionView[]>;
  session(id: string): Promise<SessionView | undefined>;
  /** What a session (default: `as`) could do now, the best first: tasks it matches, fillers last. */
  nextFor(session?: string): Promise<readonly Candidate[]>;
  /** Undefined where there is no such task. */
  why(id: string): Promise<Why | undefined>;
  openRound(
    id: string,
    about?: { readonly task?: string; readonly requires?: readonly string[] },
  ): Promise<RoundView>;
  /** Bids as the session `as`, under its weight. */
  bid(round: string, confidence: number): Promise<void>;
  /** Decides a round; resolves with its manifest and the manifest’s hash. */
  decideRound(id: string): Promise<RoundView>;
  formSwarm(template: SwarmTemplate): Promise<SwarmView>;
  swarm(id: string): Promise<SwarmView | undefined>;
  swarms(): Promise<readonly SwarmView[]>;
  stopSwarm(id: string, reason?: string): Promise<void>;
  /** Calls for each change from now on, until the function that is given back is called. */
  watch(filter: WatchFilter, heard: (news: TaskNews | SessionNews) => void): () => void;
}
