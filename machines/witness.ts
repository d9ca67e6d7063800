/**
 * The realm's alarm: told of every break that a verifier finds in the log, it makes each a HIGH entry, once. It comes
 * to life with the first break. It does not build the tree: whatever an actor does is a commit, hence a leaf, and a
 * builder in the log would never be done with its own checkpoints.
 */
import { assign, log, setup } from 'xstate';
import type { LogBreak } from '#schemas/log-break';
import { kernelActions, moment } from '#schemas/machine-kit';

/** Breaks it remembers, the newest: whoever reports one more often than that has already been told apart by the log. */
const KEPT_MAX = 200;

export interface WitnessContext {
  /** Breaks reported so far, each counted once. */
  readonly breaks: number;
  readonly recent: readonly (LogBreak & { readonly reportedAt: number })[];
}

type WitnessEvent = { readonly type: 'witness.break'; readonly break: LogBreak };

const machine = setup({
  types: {} as { context: WitnessContext; events: WitnessEvent },
  actions: { ...kernelActions },
  guards: {
    isNew: ({ context, event }) => context.recent.every(({ id }) => id !== event.break.id),
  },
}).createMachine({
  id: 'witness',
  version: '1',
  context: { breaks: 0, recent: [] },
  initial: 'sound',
  states: { sound: {}, broken: {} },
  on: {
    'witness.break': {
      guard: 'isNew',
      target: '.broken',
      actions: [
        assign({
          breaks: ({ context }) => context.breaks + 1,
          recent: ({ context, event, system }) =>
            [...context.recent, { ...event.break, reportedAt: moment(system).at }].slice(-KEPT_MAX),
        }),
        log(({ event }) => ({ alarm: 'log_break', ...event.break }), 'HIGH'),
      ],
    },
  },
});

export const witness = { name: 'witness', version: 1, machine };
