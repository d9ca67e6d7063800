/** A sandboxed task: one run of a component in a jail. What it decides stands in sandbox/decide.ts. */
import { SANDBOX_DRIVER, SANDBOX_STATUSES } from '#schemas/sandbox';
import { decidedMachine, TIMER_EVENT } from './decided.ts';
import { initialSandbox } from './sandbox/context.ts';
import { AGAIN, decideSandbox, STEPS } from './sandbox/decide.ts';

export const sandbox = {
  name: 'sandbox',
  version: 1,
  machine: decidedMachine({
    id: 'sandbox',
    version: '1',
    statuses: SANDBOX_STATUSES,
    hears: [
      'sandbox.*',
      `${TIMER_EVENT}${AGAIN}`,
      ...STEPS.flatMap((step) => [`xstate.done.actor.${step}`, `xstate.error.actor.${step}`]),
    ],
    drivers: [SANDBOX_DRIVER],
    context: initialSandbox,
    decide: decideSandbox,
  }),
};
