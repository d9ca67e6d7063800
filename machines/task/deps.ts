/** What a task waits for, and what waits for it. Tasks tell one another; no one else needs to know. */
import type { AnyEventObject } from 'xstate';
import { boardedSchema } from '#schemas/task';
import type { Change, Who } from './change.ts';
import { isHeld, type TaskContext } from './context.ts';
import { completedMail, toDependents } from './dependents.ts';
import { wantHelp } from './help.ts';
import { DEADLINE, unblocked } from './work.ts';

/** Asked in one step: one step has a bound on what it puts out. */
const ASKED_MAX = 100;

/** Mail of a task or a board (T5). */
export function heardMail(context: TaskContext, event: AnyEventObject, who: Who, self: string): Change {
  switch (event.type) {
    case 'task.add':
      return who.by.startsWith('board/') ? added(context, event, who, self) : {};
    case 'task.depend':
      return who.by.startsWith('task/') ? depended(context, event, who) : {};
    case 'task.dep_completed':
      return who.by.startsWith('task/') ? depCompleted(context, who) : {};
    case 'task.tell_on':
      return who.by === self ? { mail: toDependents(context, Number(event['from'])) } : {};
    case 'task.ask_on':
      return who.by === self ? { mail: toDeps(context.deps, Number(event['from']), self) } : {};
    default:
      return {};
  }
}

function added(context: TaskContext, event: AnyEventObject, who: Who, self: string): Change {
  if (context.status !== 'absent') return {};
  const { spec, addedBy } = boardedSchema.parse(event);
  const isReady = spec.deps.length === 0;
  return {
    patch: {
      ...spec,
      status: isReady ? 'available' : 'waiting',
      addedBy,
      waitingFor: spec.deps,
      changedAt: who.at,
    },
    mail: toDeps(spec.deps, 0, self),
    tell: ['task.added', ...(isReady ? (['task.available'] as const) : [])],
    ...(spec.deadline !== undefined && { timers: [{ id: DEADLINE, delayMs: spec.deadline - who.at }] }),
  };
}

/** Waits for those behind `from`; what is left follows in a step of its own. */
function toDeps(deps: readonly string[], from: number, self: string): NonNullable<Change['mail']> {
  const end = Math.min(from + ASKED_MAX, deps.length);
  const asked = deps.slice(from, end).map((dep) => ({
    to: `task/${dep}`,
    event: { type: 'task.depend', task: self.slice('task/'.length) },
  }));
  return end >= deps.length ? asked : [...asked, { to: self, event: { type: 'task.ask_on', from: end } }];
}

function depended(context: TaskContext, event: AnyEventObject, who: Who): Change {
  const id = who.by.slice('task/'.length);
  if (context.status === 'completed') return { mail: [completedMail(context, id)] };
  const patch = context.dependents.includes(id) ? {} : { dependents: [...context.dependents, id] };
  // Others stand still because of it: whoever can helps.
  const isWanted = event['isBlocked'] === true && isHeld(context) && context.helpWanted === null;
  if (!isWanted) return { patch };
  const help = wantHelp(context, context.requires, `${id} is blocked on it`, who.at);
  return { ...help, patch: { ...patch, ...help.patch } };
}

function depCompleted(context: TaskContext, who: Who): Change {
  const dep = who.by.slice('task/'.length);
  const waitingFor = context.waitingFor.filter((id) => id !== dep);
  const { blockedOn } = context;
  if (context.status === 'blocked' && blockedOn?.kind === 'task' && blockedOn.on === dep) {
    const change = unblocked(context, who.at);
    return { ...change, patch: { ...change.patch, waitingFor } };
  }
  if (context.status !== 'waiting' || waitingFor.length > 0) return { patch: { waitingFor } };
  return { patch: { waitingFor, status: 'available', changedAt: who.at }, tell: ['task.available'] };
}
