/** Policy: who may do what, at which cost and hazard. What people write, what is asked, and what is decided. */
import { z } from 'zod';
import { verdictSchema } from './approval.ts';
import { hazardSchema } from './if-message.ts';
import { RELATIONSHIP_TAGS, relationshipSchema } from './relationship.ts';
import { duration, formatDuration } from './units.ts';

/** The actor that holds the active version; a realm has one. */
export const POLICY_ACTOR = 'policy/main';
export const POLICY_DRIVER = 'policy';

/** A policy lies in the log, in one entry. */
export const POLICY_CHARS_MAX = 64 * 1024;
export const RULES_MAX = 500;
/** Long enough for somebody who is at lunch. */
const WAIT_MS_DEFAULT = 3_600_000;
const WAIT_MS_MAX = 30 * 86_400_000;
/** 2^53 / 10^6 units of money: what adds up exactly. */
export const MICROS_MAX = Number.MAX_SAFE_INTEGER;

/** What a policy may speak about. */
export interface ActionKind {
  /** Denied where no rule says otherwise, whatever the policy's `default`. */
  readonly privileged: boolean;
  /** Events that are this action: of whom they are asked, and their name. Others ask for a decision by `authorize`. */
  readonly events: readonly string[];
  readonly what: string;
}

/** The actions of the domain; a policy file adds its own. */
export const ACTIONS: Readonly<Record<string, ActionKind>> = {
  claim: { privileged: false, events: ['task.claim'], what: 'take a task' },
  transfer: { privileged: false, events: ['task.transfer'], what: 'hand a task to another session' },
  cancel: { privileged: false, events: ['task.cancel'], what: 'cancel a task' },
  retry: { privileged: false, events: ['task.retry'], what: 'order a failed task anew' },
  override: { privileged: true, events: ['task.override'], what: 'complete a task against its gate' },
  add: { privileged: false, events: ['board.add'], what: 'put tasks on a board' },
  spawn: { privileged: true, events: ['swarm.form'], what: 'form a swarm, which starts processes' },
  disband: { privileged: false, events: ['swarm.stop'], what: 'stop a swarm' },
  reserve: {
    privileged: false,
    events: ['ledger.reserve', 'ledger.draw'],
    what: 'reserve money or tokens of a budget',
  },
  'set-budget': { privileged: true, events: ['ledger.set'], what: 'open a budget or change its limit' },
  'override-budget': {
    privileged: true,
    events: ['ledger.override'],
    what: 'go past a hard stop of a budget',
  },
  reset: { privileged: true, events: ['breaker.reset'], what: 'close a circuit breaker by hand' },
  'apply-policy': { privileged: true, events: ['policy.apply'], what: 'put another policy into force' },
  'sip-call': { privileged: true, events: [], what: 'call an expert outside' },
  'sandbox-run': { privileged: false, events: [], what: 'run a sandboxed task' },
  publish: { privileged: true, events: [], what: 'send something out of the realm' },
};

const name = z.string().regex(/^[a-z][a-z0-9-]{0,40}$/, { error: 'expected a name: a-z, 0-9 and "-"' });
const pattern = z.string().min(1).max(240);
const patterns = z.array(pattern).min(1).max(100);
const words = z.array(z.string().min(1).max(200)).min(1).max(100);
const share = z.number().min(0).max(1);

const whoSchema = z
  .strictObject({
    kinds: words.optional().describe('Types of actors: `session`, `operator`.'),
    ids: patterns.optional().describe('Addresses, `*` for any text: `session/ndi`, `session/team-*`.'),
    sessions: patterns.optional().describe('Ids of sessions.'),
    swarms: words.optional().describe('Members of one of these swarms.'),
    capabilities: words.optional().describe('Has all of these.'),
    tags: z
      .array(z.enum(RELATIONSHIP_TAGS))
      .min(1)
      .optional()
      .describe('Has one of these relationships to what it acts on.'),
    trust: z
      .strictObject({ min: share.optional(), below: share.optional() })
      .optional()
      .describe('Weight of that relationship, 0–1.'),
    weight: z
      .strictObject({ min: z.number().min(0).max(2).optional(), below: z.number().min(0).max(2).optional() })
      .optional()
      .describe('Weight of the session, 0–2.'),
  })
  .describe('All that is said must hold.');

const onSchema = z.strictObject({
  kinds: words.optional().describe('Types of what is acted on: `task`, `budget`.'),
  ids: patterns.optional().describe('Addresses, `*` for any text.'),
  requires: words.optional().describe('A task that requires all of these capabilities.'),
  taskKinds: words.optional().describe('A task of one of these kinds.'),
});

const money = z.number().min(0).max(9_000_000_000);
const costSchema = z
  .strictObject({
    above: money.optional().describe('More than this.'),
    upTo: money.optional().describe('This at most.'),
  })
  .describe('What it costs, in units of money; where no cost is known it does not match.');

const hazardRuleSchema = z.strictObject({
  severities: z.array(hazardSchema.shape.severity).min(1).optional(),
  types: words.optional(),
});

export const EFFECTS = ['allow', 'deny', 'require-approval'] as const;

export const approvalRuleSchema = z.strictObject({
  wait: duration(1_000, WAIT_MS_MAX)
    .prefault(formatDuration(WAIT_MS_DEFAULT))
    .describe('Without an answer for so long the default is the verdict.'),
  default: verdictSchema.default('no'),
  approvers: patterns
    .default(['operator/*', 'person/*', 'guardian/*'])
    .describe('Addresses that may answer.'),
});

export const ruleSchema = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, { error: 'expected letters, digits and . _ -' }),
  effect: z.enum(EFFECTS),
  actions: z
    .union([z.literal('any'), z.array(z.string()).min(1).max(100)])
    .describe('Names of actions, or `any`.'),
  who: whoSchema.optional(),
  on: onSchema.optional(),
  cost: costSchema.optional(),
  hazard: hazardRuleSchema.optional(),
  when: z.string().min(1).max(2_000).optional().describe('A further condition in Cedar, over `context`.'),
  approval: approvalRuleSchema.optional().describe('Of `require-approval`; the policy’s own where absent.'),
  because: z.string().max(500).optional().describe('Told to whoever is refused.'),
});
export type Rule = z.infer<typeof ruleSchema>;

export const policyFileSchema = z
  .strictObject({
    policy: z.literal(1).describe('Version of this format.'),
    default: z
      .enum(['allow', 'deny'])
      .default('deny')
      .describe('Where no rule matches an action that is not privileged. Privileged ones are denied.'),
    approval: approvalRuleSchema.prefault({}),
    actions: z
      .record(
        name,
        z.strictObject({
          privileged: z.boolean().default(false),
          events: z
            .array(z.string().regex(/^[a-z][a-z0-9-]*\.[A-Za-z0-9_.-]{1,100}$/))
            .max(20)
            .default([]),
        }),
      )
      .default({})
      .describe('Actions of your own.'),
    relationships: z.array(relationshipSchema).max(1_000).default([]),
    rules: z.array(ruleSchema).max(RULES_MAX),
  })
  .describe('A policy.');
export type PolicyFile = z.infer<typeof policyFileSchema>;

const actor = z.string().min(1).max(240);

/** What is asked of a policy. Costs in whole millionths. */
export const requestSchema = z
  .strictObject({
    action: name,
    who: z.strictObject({
      address: actor,
      session: z.string().max(200).optional(),
      swarm: z.string().max(200).optional(),
      capabilities: z.array(z.string().max(200)).max(500).default([]),
      weight: z.number().min(0).max(2).optional(),
      /** Relationship to what it acts on; those that the policy names are known to it. */
      tags: z.array(z.enum(RELATIONSHIP_TAGS)).max(RELATIONSHIP_TAGS.length).default([]),
    }),
    on: z
      .strictObject({
        address: actor,
        requires: z.array(z.string().max(200)).max(500).default([]),
        taskKind: z.string().max(100).optional(),
        /** Whom it concerns as well: the worker of a task. */
        worker: actor.optional(),
      })
      .optional(),
    costMicros: z.int().min(0).max(MICROS_MAX).optional(),
    hazard: hazardSchema.pick({ type: true, severity: true }).optional(),
  })
  .describe('A question to a policy.');
export type PolicyRequest = z.infer<typeof requestSchema>;
export type PolicyRequestInput = z.input<typeof requestSchema>;

export type PolicyOutcome = 'allow' | 'deny' | 'approval';

/** How an approval is waited for. */
export interface ApprovalTerms {
  readonly waitMs: number;
  readonly default: z.infer<typeof verdictSchema>;
  readonly approvers: readonly string[];
}

export interface Decision {
  readonly outcome: PolicyOutcome;
  /** Ids of the rules that decided, in the order of the file; `default` where none did. */
  readonly rules: readonly string[];
  readonly reason: string;
  /** Version of the policy in this realm; 0 where none is in force. */
  readonly version: number;
  /** SHA-256 of its text, hex. */
  readonly sha256: string;
  readonly terms?: ApprovalTerms;
}

/** What an entry of the log says of the decision that let its event in, or did not. */
export interface PolicyNote {
  /** `approved`: it went on once somebody had said yes, or the default had. */
  readonly outcome: PolicyOutcome | 'approved';
  readonly version: number;
  readonly sha256: string;
  readonly rules: readonly string[];
  readonly request: PolicyRequest;
  /** Address of the approval that it waits for, or went on by. */
  readonly approval?: string;
}

/** An event that waits, as it reaches the approval that holds it; and as the approval lets it go. */
export const HELD_EVENT = 'policy.held';
export const RELEASED_EVENT = 'policy.released';

/** Ids of approvals that hold something begin so. */
export const HELD_ID_PREFIX = 'held-';

/** What an approval holds. */
export interface HeldAction {
  /** Whom it was for; absent where somebody only asked for a decision. */
  readonly to?: string;
  readonly from: string;
  readonly event?: { readonly type: string };
  /** SHA-256 over the RFC 8785 form of all that is asked: what an approver signs for. */
  readonly digest: string;
  readonly note: PolicyNote;
  readonly approvers: readonly string[];
}

export interface HeldEvent extends HeldAction {
  readonly type: typeof HELD_EVENT;
  readonly question: string;
  readonly terms: ApprovalTerms;
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const reason = z.string().trim().min(1).max(2_000);

/** What may be asked of the policy actor. */
export const policyActionSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('policy.apply'),
    text: z.string().max(POLICY_CHARS_MAX),
    /** The version that it takes the place of; 0 where there is none. */
    base: z.int().min(0),
    reason,
    /** The file, as whoever applied it named it. */
    source: z.string().max(500).optional(),
  }),
  /** A decision for whoever has no door of its own; the answer is the node's, and stands in the event. */
  z.object({
    type: z.literal('policy.authorize'),
    request: requestSchema,
    decision: z.unknown().optional(),
    held: z.unknown().optional(),
  }),
  z.object({ type: z.literal('policy.get') }),
]);
export type PolicyActionInput = z.input<typeof policyActionSchema>;

/** What the driver gives back: the version is in force on its node, and written for all. */
export const installedSchema = z.object({ version: z.int(), sha256 });

export interface PolicyVersion {
  readonly version: number;
  readonly text: string;
  /** Null until it is in force. */
  readonly sha256: string | null;
  readonly by: string;
  readonly at: number;
  readonly reason: string;
  readonly source: string | null;
}

export const POLICY_STATUSES = ['absent', 'applying', 'active'] as const;

/** What the policy actor knows, and tells. */
export interface PolicyView {
  readonly status: (typeof POLICY_STATUSES)[number];
  /** The newest number given; refused versions have one too. */
  readonly version: number;
  readonly active: PolicyVersion | null;
  readonly next: PolicyVersion | null;
  /** The last that could not be put into force. */
  readonly refused: { readonly version: number; readonly by: string; readonly error: string } | null;
}

export type PolicyReply =
  | { readonly accepted: true; readonly version: number }
  | { readonly accepted: false; readonly code: string; readonly reason: string };

/** Matches an address against a pattern with stars. */
export function matchesPattern(text: string, wanted: string): boolean {
  const parts = wanted.split('*');
  const [first = '', ...rest] = parts;
  if (rest.length === 0) return text === wanted;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  const last = rest.pop() ?? '';
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
