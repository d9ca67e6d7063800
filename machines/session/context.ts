/** What a session knows of itself. */
import {
  type Profile,
  type SessionInput,
  type SessionStatus,
  type SessionView,
  sessionInputSchema,
} from '#schemas/session';
import { firstWeight } from './weight.ts';

export interface HeldTask {
  readonly id: string;
  readonly token: number;
  readonly filler: boolean;
  readonly blocked: boolean;
}

export interface Question {
  readonly from: string;
  readonly conversation: string;
  readonly content: unknown;
}

export interface SessionContext extends SessionInput {
  readonly profile: Profile;
  readonly status: SessionStatus;
  /** It claimed, or was given, a task without having registered: it is there for as long as it has one, and seeks nothing. */
  readonly isGuest: boolean;
  /** Name of the lease under which it is present. */
  readonly lease: string | null;
  readonly leaseMs: number;
  /** Name of the lease whose end sent it away; null where anything else did. */
  readonly lapsed: string | null;
  /** What its word counts in a round. */
  readonly weight: number;
  /** Weights after its last results, the newest last. */
  readonly weights: readonly number[];
  readonly lateBloomer: boolean;
  /** Tasks it has claimed, the newest last. */
  readonly tasks: readonly HeldTask[];
  readonly offered: { readonly task: string; readonly match: number; readonly filler: boolean } | null;
  /** Offers it said no to since it last asked for work, the newest last. */
  readonly declined: readonly string[];
  readonly completed: number;
  readonly failed: number;
  /** Help that others asked it for. */
  readonly helpWanted: readonly Question[];
  /** Hazards that were escalated to it. */
  readonly escalations: readonly Question[];
  readonly heard: number;
  readonly lastHeardAt: number | null;
  readonly changedAt: number | null;
}

/** With an input (of a supervisor) it is there at once; without one it waits to be registered. */
export function initialSession(input: unknown, self: string): SessionContext {
  const parsed = sessionInputSchema.parse(input ?? { id: self.slice(self.indexOf('/') + 1) });
  return {
    ...parsed,
    status: input === undefined ? 'absent' : 'idle',
    isGuest: false,
    lease: null,
    leaseMs: 0,
    lapsed: null,
    weight: firstWeight(parsed.profile),
    weights: [],
    lateBloomer: false,
    tasks: [],
    offered: null,
    declined: [],
    completed: 0,
    failed: 0,
    helpWanted: [],
    escalations: [],
    heard: 0,
    lastHeardAt: null,
    changedAt: null,
  };
}

/** Of one that is there. */
export function busyness(tasks: readonly HeldTask[]): 'idle' | 'working' | 'blocked' {
  if (tasks.length === 0) return 'idle';
  return tasks.every(({ blocked }) => blocked) ? 'blocked' : 'working';
}

export function isHere({ status }: Pick<SessionContext, 'status'>): boolean {
  return status === 'idle' || status === 'working' || status === 'blocked';
}

export function sessionView(context: SessionContext): SessionView {
  return {
    id: context.id,
    status: context.status,
    capabilities: context.capabilities,
    profile: context.profile,
    swarm: context.swarm ?? null,
    weight: context.weight,
    lateBloomer: context.lateBloomer,
    tasks: context.tasks.map((task) => ({ ...task })),
    offered: context.offered,
    completed: context.completed,
    failed: context.failed,
    changedAt: context.changedAt,
  };
}
