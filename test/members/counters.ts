/** A counter in two versions, as two folders of code would have it. */
import { assign, setup } from 'xstate';
import { invocation, kernelActions } from '#schemas/machine-kit';

const counterOf = (version: string) =>
  setup({
    types: {} as { context: { n: number }; events: { type: 'inc' } },
    actions: { ...kernelActions },
  }).createMachine({
    id: 'tally',
    version,
    context: { n: 0 },
    on: {
      inc: {
        actions: [
          assign({ n: ({ context }) => context.n + 1 }),
          { type: 'reply', params: ({ context }) => ({ n: context.n }) },
        ],
      },
    },
  });

const first = { name: 'tally', version: 1, machine: counterOf('1') };
const second = { name: 'tally', version: 2, machine: counterOf('2'), migrate: (data: unknown) => data };

export const v1 = [first];
export const v2 = [first, second];

/** Asks its driver at which node it ran. */
export const bridge = setup({
  types: {} as { context: { ran: string[] }; events: { type: 'call' } | { type: 'get' } },
  actions: { ...kernelActions },
  actors: { where: invocation<string, object>() },
}).createMachine({
  id: 'bridge',
  version: '1',
  context: { ran: [] },
  initial: 'idle',
  on: { get: { actions: { type: 'reply', params: ({ context }) => ({ ran: context.ran }) } } },
  states: {
    idle: { on: { call: 'calling' } },
    calling: {
      invoke: {
        src: 'where',
        input: {},
        onDone: {
          target: 'idle',
          actions: assign({ ran: ({ context, event }) => [...context.ran, event.output] }),
        },
      },
    },
  },
});
