/** What clients do in a schedule. */
import { encodeBody } from '#runtime/bus/codec';
import type { Entry } from '#schemas/commit';
import type { Chance } from './chance.ts';
import type { Plan } from './plan.ts';

export type OpKind =
  | 'put'
  | 'give'
  | 'post'
  | 'later'
  | 'notify'
  | 'open'
  | 'turn'
  | 'shut'
  | 'throw'
  | 'get'
  | 'call'
  | 'tick'
  | 'boom'
  | 'unknown'
  | 'stray';

export interface Op {
  /** Unique; its message id where it has one. */
  readonly id: string;
  /** Without a message id it is published once, and nobody can tell it again. */
  readonly isNamed: boolean;
  /** ms after the beginning. */
  readonly at: number;
  readonly kind: OpKind;
  readonly door: 'ask' | 'short' | 'send';
  readonly actor: string;
  readonly label: string;
  readonly to: string;
  readonly amount: number;
  readonly body: Uint8Array;
  /** After so many tries its client gives up, and never knows. */
  readonly triesMax: number | undefined;
}

export const JOBS: readonly string[] = ['job/j0', 'job/j1', 'job/j2'];
const KINDS: readonly OpKind[] = [
  ...Array<OpKind>(8).fill('put'),
  ...Array<OpKind>(8).fill('give'),
  ...Array<OpKind>(4).fill('post'),
  'get',
  'get',
  'later',
  'later',
  'later',
  'notify',
  'open',
  'open',
  'open',
  ...Array<OpKind>(3).fill('turn'),
  'shut',
  'shut',
  'call',
  'call',
  'tick',
  'boom',
  'throw',
  'unknown',
  'stray',
];
const PADDING_MAX = 3_000;
/** Operations of one burst are published in their order. */
const BURST_GAP_MS = 0.001;

/** True for the entry that an operation made. */
export function isMadeBy({ cause, actor, event }: Entry, op: Op): boolean {
  if (actor !== op.actor || (cause.kind !== 'ask' && cause.kind !== 'inbox')) return false;
  return op.isNamed ? cause.id === op.id : (event as { label?: string } | undefined)?.label === op.label;
}

/** The operations of one client. */
export function opsOf(plan: Plan, client: number, chance: Chance): Op[] {
  const ops: Op[] = [];
  const count = Math.ceil(plan.ops / plan.clients);
  let at = 0;
  for (let n = 0; n < count; n++) {
    // Bursts and pauses.
    at += BURST_GAP_MS;
    if (chance.is(0.6)) at += (chance.next() * 2 * plan.spanMs) / count;
    const kind = chance.pick(KINDS);
    const label = `c${client}.${n}`;
    const books = Array.from({ length: plan.actors }, (_, b) => `book/b${b}`);
    const actor =
      kind === 'call'
        ? `caller/${label.replace('.', '-')}`
        : kind === 'tick' || kind === 'boom'
          ? chance.pick(JOBS)
          : chance.pick(books);
    const to = kind === 'stray' ? 'nobody/home' : chance.pick(books);
    const amount = 1 + chance.int(9);
    const ms = chance.skewed(1, 1_500);
    const isNamed = !chance.is(0.1);
    const padding = isNamed && chance.is(0.1) ? 'x'.repeat(chance.int(PADDING_MAX)) : undefined;
    const type = kind === 'stray' ? 'give' : kind;
    const event = { type, label, to, amount, ms: Math.ceil(ms), ...(padding !== undefined && { padding }) };
    ops.push({
      id: `${label}-id`,
      isNamed,
      at,
      kind,
      door: kind === 'get' ? 'ask' : chance.pick(['ask', 'ask', 'short', 'send']),
      actor,
      label,
      to,
      amount,
      body: encodeBody(event),
      triesMax: !isNamed ? 1 : chance.is(0.1) ? 1 + chance.int(3) : undefined,
    });
  }
  return ops.slice(0, Math.ceil(plan.opsMax / plan.clients));
}
