/** A counter: the smallest machine that answers. `inc` and `add {by}` change it, `get` reads it, all reply `{n}`. */
import { assign, setup } from 'xstate';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import { kernelActions } from '#schemas/machine-kit';

export const counterErrors = errorKinds({
  bad_amount: { retryable: false, help: 'Send add with a finite number: {"type":"add","by":5}.' },
});

type CounterEvent = { type: 'inc' } | { type: 'add'; by: number } | { type: 'get' };

const answer = {
  type: 'reply',
  params: ({ context }: { context: { n: number } }) => ({ n: context.n }),
} as const;

const machine = setup({
  types: {} as { context: { n: number }; events: CounterEvent },
  actions: { ...kernelActions },
}).createMachine({
  id: 'counter',
  version: '1',
  context: { n: 0 },
  on: {
    inc: { actions: [assign({ n: ({ context }) => context.n + 1 }), answer] },
    // A throw changes nothing and is answered: a bad amount is a fault of the sender, not a state of the counter.
    add: { actions: [assign({ n: ({ context, event }) => context.n + amount(event.by) }), answer] },
    get: { actions: answer },
  },
});

export const counter = { name: 'counter', version: 1, machine };

function amount(by: unknown): number {
  if (typeof by === 'number' && Number.isFinite(by)) return by;
  throw new FabricError(counterErrors.bad_amount, 'add needs a number "by"', { details: { by: typeof by } });
}
