/** What an event asks for, in the terms of a policy. Pure. */

import { type LedgerContext, NOTHING } from '#machines/ledger/context';
import { readAction } from '#machines/ledger/read';
import { most, rest } from '#machines/ledger/room';
import { rowOf } from '#machines/ledger/table';
import type { EventData } from '#runtime/machine/types';
import { type Amounts, accountName, faceOf, LEDGER_TYPE } from '#schemas/budget';
import { hazardSchema, messageOf } from '#schemas/if-message';
import { type ActionKind, MICROS_MAX, type PolicyRequest } from '#schemas/policy';
import { SESSION_TYPE } from '#schemas/session';
import { kindOf } from './cedar.ts';

/** Stands for whoever gives no name. */
const NOBODY = 'unknown/unknown';
const TEXTS_MAX = 500;
const DRAW = `${LEDGER_TYPE}.draw`;

/** What a node knows of a session. */
export interface SessionFacts {
  readonly capabilities: readonly string[];
  readonly weight: number;
  readonly swarm: string | null;
}

export interface Asked {
  readonly actor: string;
  readonly event: EventData;
  readonly from: string | undefined;
  /** What the actor knows. */
  readonly context?: unknown;
}

/** The names of actions by the events that are them. */
export function actionsByEvent(actions: Readonly<Record<string, ActionKind>>): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(actions).flatMap(([name, { events }]) => events.map((event) => [event, name] as const)),
  );
}

/**
 * The action that an event is: `task.claim` is the same as a plain event and as the content of an IFMessage. A message whose
 * content names an action that no policy knows is still a message. A draw is one where it wants more held than was let in: what
 * it books was spent, and nobody can forbid that any more.
 */
export function actionOf(
  byEvent: ReadonlyMap<string, string>,
  { actor, event, context }: Pick<Asked, 'actor' | 'event' | 'context'>,
): string | undefined {
  const action = fieldsOf(messageOf(event)?.content)['action'];
  const named = typeof action === 'string' ? byEvent.get(`${kindOf(actor)}.${action}`) : undefined;
  if (event.type === DRAW && drawOf(event, context)?.isMore !== true) return undefined;
  return named ?? byEvent.get(event.type);
}

export function requestOf(action: string, asked: Asked, facts: SessionFacts | undefined): PolicyRequest {
  const { actor, event, from, context } = asked;
  const message = messageOf(event);
  const said = message === undefined ? event : fieldsOf(message.content);
  const known = fieldsOf(context);
  const draw = event.type === DRAW ? drawOf(event, context) : undefined;
  const address = from === undefined || from === '' ? NOBODY : from.slice(0, 240);
  const costMicros = draw?.hold.micros ?? costOf(said, known);
  const hazard = hazardSchema
    .pick({ type: true, severity: true })
    .safeParse(message?.hazard ?? fieldsOf(said)['hazard']);
  const worker = known['worker'];
  const taskKind = known['kind'];
  return {
    action,
    who: {
      address,
      ...(kindOf(address) === SESSION_TYPE && { session: address.slice(SESSION_TYPE.length + 1) }),
      ...(facts?.swarm != null && { swarm: facts.swarm }),
      capabilities: [...(facts?.capabilities ?? [])].slice(0, TEXTS_MAX),
      ...(facts !== undefined && { weight: facts.weight }),
      tags: [],
    },
    on: {
      address: onWhat(actor, draw === undefined ? said : { account: draw.account }),
      requires: textsOf(known['requires']),
      ...(typeof taskKind === 'string' && { taskKind: taskKind.slice(0, 100) }),
      ...(typeof worker === 'string' && worker !== '' && { worker: worker.slice(0, 240) }),
    },
    ...(costMicros !== undefined && { costMicros }),
    ...(hazard.success && { hazard: hazard.data }),
  };
}

interface Draw {
  readonly account: string;
  readonly hold: Amounts;
  /** More than is left of what was let in. */
  readonly isMore: boolean;
}

/** Undefined where nothing is held that it could draw on. */
function drawOf(event: EventData, context: unknown): Draw | undefined {
  const action = readAction(event);
  const { reservations } = fieldsOf(context) as Partial<LedgerContext>;
  if (action?.action !== 'draw' || reservations === undefined) return undefined;
  const open = rowOf(reservations, action.id);
  if (open === undefined) return undefined;
  const { account, amount, drawn = NOTHING } = open;
  const hold = most(action.hold, action.upTo);
  const more = rest(hold, rest(amount, rest(action.spent, drawn)));
  return { account, hold, isMore: more.micros > 0 || more.tokens > 0 };
}

/** A ledger keeps many budgets: rules speak of the one that is meant, by the address of its face. */
function onWhat(actor: string, said: Fields): string {
  const account = said['account'];
  if (kindOf(actor) !== LEDGER_TYPE || !accountName.safeParse(account).success) return actor;
  return faceOf(actor.slice(LEDGER_TYPE.length + 1), String(account));
}

/**
 * The dearest of what the event names (amount, budget of a template) and what its actor knows (the task's budget, else its
 * estimate): who asks can name more than is known, and never talk it down.
 */
function costOf(said: Fields, known: Fields): number | undefined {
  const estimate = fieldsOf(known['estimate'])['cost'];
  const found = [
    [said['costMicros']],
    [fieldsOf(said['amount'])['micros']],
    [fieldsOf(said['extra'])['micros']],
    [fieldsOf(said['limit'])['micros']],
    [fieldsOf(fieldsOf(said['template'])['budget'])['costMicros']],
    [fieldsOf(known['budget'])['costMicros'], typeof estimate === 'number' ? estimate * 1e6 : undefined],
  ].flatMap((ofOne) => ofOne.find(isAmount) ?? []);
  // Beyond what is exact it is dear all the same.
  return found.length === 0 ? undefined : Math.min(MICROS_MAX, Math.round(Math.max(...found)));
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function textsOf(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.filter((one): one is string => typeof one === 'string').slice(0, TEXTS_MAX);
}
