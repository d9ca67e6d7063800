/** A ledger: the books of a budget tree. What it decides stands in ledger/decide.ts. */
import { decidedMachine, TIMER_EVENT } from './decided.ts';
import { initialLedger, type LedgerContext } from './ledger/context.ts';
import { decideLedger } from './ledger/decide.ts';
import { CALENDAR, TURN } from './ledger/periods.ts';
import { LEASE } from './ledger/reserve.ts';

export type { LedgerContext } from './ledger/context.ts';

export const ledger = {
  name: 'ledger',
  version: 1,
  machine: decidedMachine<LedgerContext>({
    id: 'ledger',
    version: '1',
    statuses: ['absent', 'open'],
    hears: [
      'ledger.*',
      ...[LEASE, TURN].map((timer) => `${TIMER_EVENT}${timer}`),
      `xstate.done.actor.${CALENDAR}`,
      `xstate.error.actor.${CALENDAR}`,
    ],
    drivers: [CALENDAR],
    context: initialLedger,
    decide: decideLedger,
  }),
};
