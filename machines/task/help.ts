/** Help: wanted by a worker, or because others stand still; the first who match and come are in. */
import { z } from 'zod';
import type { TaskAction } from '#schemas/task';
import { type Change, isSession, notHolder, refuse, type Verdict, type Who } from './change.ts';
import { HELP } from './claims.ts';
import { isHeld, type TaskContext } from './context.ts';

type Of<Name extends TaskAction['action']> = Extract<TaskAction, { action: Name }>;

/** Asked at once: the first of them join. */
const INVITED_MAX = 20;

const foundSchema = z.object({ sessions: z.array(z.string().max(240)).max(INVITED_MAX) });

export function help(context: TaskContext, action: Of<'help'>, who: Who): Verdict {
  const refused = notHolder(context, who, action.token, 'help');
  return refused ?? wantHelp(context, action.requires ?? context.requires, action.reason ?? null, who.at);
}

export function wantHelp(
  context: TaskContext,
  requires: readonly string[],
  reason: string | null,
  at: number,
): Change {
  const { id, worker, helpers } = context;
  const except = [...(worker === null ? [] : [worker]), ...helpers];
  return {
    patch: { helpWanted: { requires: [...requires], reason }, invited: [], changedAt: at },
    tell: ['task.help_wanted'],
    ended: [HELP],
    effects: [
      {
        id: HELP,
        driver: 'match',
        input: { want: 'sessions', task: id, requires, except, max: INVITED_MAX },
      },
    ],
  };
}

/** Candidates of the driver; where there are none, a person has to look. */
export function found(context: TaskContext, output: unknown, at: number): Change {
  const parsed = foundSchema.safeParse(output);
  const sessions = parsed.success ? parsed.data.sessions : [];
  const { id, helpWanted } = context;
  if (helpWanted === null || !isHeld(context)) return { ended: [HELP] };
  if (sessions.length === 0) {
    return {
      ended: [HELP],
      patch: { needsPerson: true, changedAt: at },
      tell: ['task.needs_person'],
      log: { severity: 'WARN', message: { type: 'no_candidate', task: id, requires: helpWanted.requires } },
    };
  }
  return {
    ended: [HELP],
    patch: { invited: sessions },
    mail: sessions.map((to) => ({
      to,
      event: { type: 'task.help_wanted', task: id, requires: helpWanted.requires, reason: helpWanted.reason },
    })),
  };
}

export function join(context: TaskContext, _action: Of<'join'>, who: Who): Verdict {
  const { helpWanted, helpers, invited, worker } = context;
  if (helpWanted === null) return refuse('wrong_state', 'it wants no help');
  if (!isSession(who.by)) return refuse('not_permitted', `${who.by} is no session: only sessions help`);
  if (who.by === worker || helpers.includes(who.by)) return { patch: {} };
  if (!invited.includes(who.by)) return refuse('not_permitted', `${who.by} was not asked to help`);
  if (helpers.length >= context.helpersMax) return refuse('helpers_full', `${helpers.length} help already`);
  const all = [...helpers, who.by];
  const isFull = all.length >= context.helpersMax;
  return {
    patch: { helpers: all, changedAt: who.at, ...(isFull && { helpWanted: null }) },
    tell: ['task.joined'],
  };
}

export function leave(context: TaskContext, _action: Of<'leave'>, who: Who): Verdict {
  if (!context.helpers.includes(who.by)) return refuse('not_yours', `${who.by} does not help with it`);
  return {
    patch: { helpers: context.helpers.filter((helper) => helper !== who.by), changedAt: who.at },
    tell: ['task.left'],
  };
}
