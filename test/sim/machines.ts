/** The actors of a schedule: they write down what reaches them, by every way the kernel has. */
import { assign, raise, setup, spawnChild, stopChild } from 'xstate';
import { supervisor } from '#machines/supervisor';
import { createRegistry, type Registry } from '#runtime/machine/registry';
import { effect, effectInput, invocation, kernelActions } from '#schemas/machine-kit';

interface Told {
  readonly type: string;
  readonly label: string;
  readonly to: string;
  readonly amount: number;
  readonly ms: number;
}

interface Book {
  /** Every label in the order it came. */
  readonly got: readonly string[];
  readonly balance: number;
}

type Change = (args: { context: Book; event: Told }) => Book;
const write: Change = ({ context, event }) => ({ ...context, got: [...context.got, event.label] });
const give: Change = ({ context, event }) => ({
  got: [...context.got, event.label],
  balance: context.balance - event.amount,
});
const take: Change = ({ context, event }) => ({
  got: [...context.got, event.label],
  balance: context.balance + event.amount,
});
const handOver = ({ to, label, amount }: Told) => ({
  to,
  event: { type: 'take', label: `${label}>`, amount },
});
const all = {
  type: 'reply' as const,
  params: ({ context }: { context: Book }) => ({ got: context.got, balance: context.balance }),
};
const FAILED = { code: 'told_to', message: 'as told', retryable: false };
const RETRY = { attempts: 1_000, firstDelayMs: 20, maxDelayMs: 500 };

interface Page {
  readonly label: string;
  readonly ms: number;
}

const page = setup({
  types: {} as { context: Page; input: Page; events: Told },
  actions: kernelActions,
  delays: { ms: ({ context }) => context.ms },
}).createMachine({
  id: 'page',
  version: '1',
  context: ({ input }) => input,
  initial: 'open',
  states: { open: { after: { ms: 'closed' } }, closed: { type: 'final' } },
  output: ({ context }) => ({ label: context.label }),
});

/** Lives until it is stopped. */
const leaf = setup({ types: {} as { events: Told }, actions: kernelActions }).createMachine({
  id: 'leaf',
  version: '1',
});

const book = setup({
  types: {} as { context: Book; events: Told },
  actors: { page, leaf },
  actions: { ...kernelActions, notify: effect<object>() },
}).createMachine({
  id: 'book',
  version: '1',
  context: { got: [], balance: 0 },
  on: {
    put: { actions: [assign(write), all] },
    give: {
      actions: [
        assign(give),
        {
          type: 'send',
          params: ({ event }) => handOver(event),
        },
        all,
      ],
    },
    post: {
      actions: [
        assign(give),
        {
          type: 'send',
          params: ({ event }) => ({ ...handOver(event), delay: event.ms }),
        },
        all,
      ],
    },
    take: { actions: assign(take) },
    later: {
      actions: [
        assign(write),
        raise(({ event }) => ({ ...event, type: 'put', label: `${event.label}+` }), {
          delay: ({ event }) => event.ms,
        }),
        all,
      ],
    },
    notify: {
      actions: [
        assign(write),
        { type: 'notify', params: ({ event }) => effectInput({ label: event.label }, { retry: RETRY }) },
        all,
      ],
    },
    open: {
      actions: [
        assign(write),
        spawnChild('page', {
          id: ({ event }: { event: Told }) => event.label,
          input: ({ event: { label, ms } }: { event: Told }) => ({ label, ms }),
        }),
        all,
      ],
    },
    turn: { actions: [assign(write), stopChild('leaf'), spawnChild('leaf', { id: 'leaf' }), all] },
    shut: { actions: [assign(write), stopChild('leaf'), all] },
    'xstate.done.actor.*': {
      actions: assign({
        got: ({ context, event }) => [
          ...context.got,
          `${(event as unknown as { output: { label: string } }).output.label}~`,
        ],
      }),
    },
    throw: {
      actions: assign({
        got: () => {
          throw new Error('as told');
        },
      }),
    },
    get: { actions: all },
  },
});

/** One call, and its result. */
const caller = setup({
  types: {} as { context: Book; events: Told },
  actions: kernelActions,
  actors: { work: invocation<{ label: string }, { label: string }>() },
}).createMachine({
  id: 'caller',
  version: '1',
  context: { got: [], balance: 0 },
  initial: 'idle',
  on: { get: { actions: all } },
  states: {
    idle: { on: { call: { target: 'calling', actions: [assign(write), all] } } },
    calling: {
      invoke: {
        src: 'work',
        input: ({ context }) =>
          effectInput({ label: context.got.at(-1) ?? '' }, { retry: RETRY, timeoutMs: 1_000 }),
        onDone: {
          target: 'called',
          actions: assign({ got: ({ context, event }) => [...context.got, `${event.output.label}!`] }),
        },
        onError: { target: 'called', actions: assign({ got: ({ context }) => [...context.got, 'error'] }) },
      },
    },
    called: {},
  },
});

/** Lives under the root supervisor, and fails when told. */
const job = setup({
  types: {} as { context: { n: number }; events: Told },
  actions: kernelActions,
}).createMachine({
  id: 'job',
  version: '1',
  context: { n: 0 },
  on: {
    tick: {
      actions: [assign({ n: ({ context }) => context.n + 1 }), { type: 'reply', params: { ok: true } }],
    },
    boom: {
      actions: [
        { type: 'reply', params: { ok: true } },
        { type: 'fail', params: { error: FAILED } },
      ],
    },
  },
});

/** Machines and kinds are the same in every schedule, and hold nothing. */
export function simRegistry(): Registry {
  const registry = createRegistry(['work', 'notify']);
  registry.define(supervisor);
  for (const [name, machine] of Object.entries({ book, caller, job }))
    registry.define({ name, version: 1, machine });
  registry.addKind({
    type: 'supervisor',
    machine: 'supervisor',
    version: 1,
    spawnOnMessage: false,
    door: 'closed',
  });
  registry.addKind({ type: 'book', machine: 'book', version: 1, spawnOnMessage: true, door: 'open' });
  registry.addKind({ type: 'caller', machine: 'caller', version: 1, spawnOnMessage: true, door: 'open' });
  registry.addKind({ type: 'job', machine: 'job', version: 1, spawnOnMessage: false, door: 'open' });
  return registry;
}
