/**
 * A session: a worker that claims tasks; idle, working, blocked, away, gone. What it decides stands in session/decide.ts.
 * Tasks tell it what became of them; others write to it in IFMessages.
 */
import { SESSION_STATUSES } from '#schemas/session';
import { decidedMachine, TIMER_EVENT } from './decided.ts';
import { initialSession } from './session/context.ts';
import { decideSession, RELOOK, REWATCH } from './session/decide.ts';

export type { SessionContext } from './session/context.ts';

export const session = {
  name: 'session',
  version: 1,
  machine: decidedMachine({
    id: 'session',
    version: '1',
    statuses: SESSION_STATUSES,
    hears: [
      'if.*',
      'session.*',
      'task.*',
      ...[REWATCH, RELOOK].map((timer) => `${TIMER_EVENT}${timer}`),
      ...['lease', 'match', 'offer'].flatMap((id) => [`xstate.done.actor.${id}`, `xstate.error.actor.${id}`]),
    ],
    drivers: ['lease', 'match'],
    context: initialSession,
    decide: decideSession,
  }),
};
