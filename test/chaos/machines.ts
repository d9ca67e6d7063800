/** Actors whose histories can be judged. */
import { assign, setup } from 'xstate';
import { kernelActions } from '#schemas/machine-kit';

/** What an account opens with. */
export const OPENING_BALANCE = 1_000;

/** A register of one value. Each answer has the value after the operation. */
const registerMachine = setup({
  types: {} as { context: { v: string | null }; events: { type: 'set'; v: string } | { type: 'get' } },
  actions: { ...kernelActions },
}).createMachine({
  id: 'register',
  version: '1',
  context: { v: null },
  on: {
    set: {
      actions: [
        assign({ v: ({ event }) => event.v }),
        { type: 'reply', params: ({ context }) => ({ v: context.v }) },
      ],
    },
    get: { actions: { type: 'reply', params: ({ context }) => ({ v: context.v }) } },
  },
});

interface Transfer {
  readonly type: 'transfer';
  readonly to: string;
  readonly amount: number;
}

/** An account: what it gives another goes as mail. */
const accountMachine = setup({
  types: {} as {
    context: { balance: number; given: number; got: number };
    events: Transfer | { type: 'deposit'; amount: number } | { type: 'get' };
  },
  actions: { ...kernelActions },
}).createMachine({
  id: 'account',
  version: '1',
  context: { balance: OPENING_BALANCE, given: 0, got: 0 },
  on: {
    transfer: [
      {
        guard: ({ context, event }) => context.balance >= event.amount,
        actions: [
          assign({
            balance: ({ context, event }) => context.balance - event.amount,
            given: ({ context }) => context.given + 1,
          }),
          {
            type: 'send',
            params: ({ event }) => ({ to: event.to, event: { type: 'deposit', amount: event.amount } }),
          },
          { type: 'reply', params: { done: true } },
        ],
      },
      { actions: { type: 'reply', params: { done: false } } },
    ],
    deposit: {
      actions: assign({
        balance: ({ context, event }) => context.balance + event.amount,
        got: ({ context }) => context.got + 1,
      }),
    },
    get: { actions: { type: 'reply', params: ({ context }) => context } },
  },
});

/** Counts what each sender wrote, and what came out of turn. */
const notebookMachine = setup({
  types: {} as {
    context: { last: Record<string, number>; outOfTurn: number };
    events: { type: 'note'; sender: string; n: number } | { type: 'get' };
  },
  actions: { ...kernelActions },
}).createMachine({
  id: 'notebook',
  version: '1',
  context: { last: {}, outOfTurn: 0 },
  on: {
    note: {
      actions: assign({
        last: ({ context, event }) => ({ ...context.last, [event.sender]: event.n }),
        outOfTurn: ({ context, event }) =>
          context.outOfTurn + (event.n === (context.last[event.sender] ?? 0) + 1 ? 0 : 1),
      }),
    },
    get: { actions: { type: 'reply', params: ({ context }) => context } },
  },
});

/** What a fencing token protects: takes a write only under a token that is not older than the last. */
const fencedMachine = setup({
  types: {} as { context: { token: number }; events: { type: 'write'; token: number } },
  actions: { ...kernelActions },
}).createMachine({
  id: 'fenced',
  version: '1',
  context: { token: 0 },
  on: {
    write: [
      {
        guard: ({ context, event }) => event.token >= context.token,
        actions: [
          assign({ token: ({ event }) => event.token }),
          { type: 'reply', params: { accepted: true } },
        ],
      },
      { actions: { type: 'reply', params: { accepted: false } } },
    ],
  },
});

export const register = { name: 'register', version: 1, machine: registerMachine };
export const account = { name: 'account', version: 1, machine: accountMachine };
export const notebook = { name: 'notebook', version: 1, machine: notebookMachine };
export const fenced = { name: 'fenced', version: 1, machine: fencedMachine };
