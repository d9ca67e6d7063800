/** A machine that writes down whatever reaches it, by every way the kernel has: what the promises are checked with. */
import { assign, raise, setup } from 'xstate';
import { effectInput, invocation, kernelActions } from '#schemas/machine-kit';

interface Context {
  /** Every label in the order it came. */
  readonly got: readonly string[];
  readonly url: string;
}

interface Relay {
  readonly type: 'relay';
  readonly label: string;
  readonly to: string;
}

type LedgerEvent =
  /** Writes a label down. */
  | { type: 'put'; label: string }
  /** Writes it down and mails it on. */
  | Relay
  /** Writes it down and once more after a while. */
  | { type: 'later'; label: string; ms: number }
  /** Writes it down and calls out with it. */
  | { type: 'call'; label: string; url: string }
  | { type: 'get' };

const count = {
  type: 'reply',
  params: ({ context }: { context: Context }) => ({ n: context.got.length }),
} as const;
const all = { type: 'reply', params: ({ context }: { context: Context }) => ({ got: context.got }) } as const;

const machine = setup({
  types: {} as { context: Context; events: LedgerEvent },
  actions: {
    ...kernelActions,
    write: assign({
      got: ({ context, event }) => ('label' in event ? [...context.got, event.label] : context.got),
    }),
  },
  actors: { http: invocation<{ status: number }, { url: string; method: string; body: string }>() },
}).createMachine({
  id: 'ledger',
  version: '1',
  context: { got: [], url: '' },
  initial: 'idle',
  on: {
    put: { actions: ['write', count] },
    relay: {
      actions: [
        'write',
        {
          type: 'send',
          params: ({ event }: { event: Relay }) => ({
            to: event.to,
            event: { type: 'put', label: `${event.label}>` },
          }),
        },
        count,
      ],
    },
    later: {
      actions: [
        'write',
        raise(({ event }) => ({ type: 'put' as const, label: `${event.label}+` }), {
          delay: ({ event }) => event.ms,
        }),
        count,
      ],
    },
    get: { actions: all },
  },
  states: {
    idle: {
      on: {
        call: {
          target: 'calling',
          actions: ['write', assign({ url: ({ event }) => event.url }), count],
        },
      },
    },
    calling: {
      invoke: {
        src: 'http',
        input: ({ context }) =>
          effectInput(
            { url: context.url, method: 'POST', body: context.got.at(-1) ?? '' },
            { retry: { attempts: 50, firstDelayMs: 20, maxDelayMs: 100 }, timeoutMs: 5_000 },
          ),
        onDone: {
          target: 'idle',
          actions: assign({ got: ({ context }) => [...context.got, `${context.got.at(-1) ?? ''}!`] }),
        },
        onError: { target: 'idle', actions: assign({ got: ({ context }) => [...context.got, 'error'] }) },
      },
    },
  },
});

export const ledger = { name: 'ledger', version: 1, machine };
