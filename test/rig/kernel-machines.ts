/** A machine that does on demand whatever the kernel can be asked for. */
import { assign, cancel, emit, enqueueActions, log, raise, setup, spawnChild, stopChild } from 'xstate';
import { effect, effectInput, invocation, kernelActions } from '#schemas/machine-kit';

interface Order {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Remembers what it hears (`seen`), and carries out orders. */
export const worker = setup({
  types: {} as {
    context: { seen: unknown[]; by: string[]; kept: unknown };
    events: Order;
    input: { seen?: unknown[] } | undefined;
  },
  actors: {
    http: invocation<unknown, object>(),
    kid: setup({
      types: {} as { context: { n: number }; events: Order },
      actions: { ...kernelActions },
    }).createMachine({
      id: 'kid',
      version: '1',
      context: { n: 0 },
      initial: 'on',
      states: {
        on: {
          on: {
            inc: { actions: assign({ n: ({ context }) => context.n + 1 }) },
            finish: 'off',
            die: {
              actions: {
                type: 'fail',
                params: { error: { code: 'died', message: 'died', retryable: false } },
              },
            },
          },
        },
        off: { type: 'final' },
      },
      output: ({ context }) => ({ n: context.n }),
    }),
  },
  actions: { ...kernelActions, http: effect<object>() },
  delays: { given: ({ event }) => (event as unknown as { ms: number }).ms },
}).createMachine({
  id: 'worker',
  version: '1',
  context: ({ input }) => ({ seen: input?.seen ?? [], by: [], kept: null }),
  initial: 'idle',
  on: {
    note: {
      actions: [
        assign({ seen: ({ context, event }) => [...context.seen, event['n']] }),
        { type: 'reply', params: ({ context }) => ({ count: context.seen.length }) },
      ],
    },
    get: { actions: { type: 'reply', params: ({ context }) => context } },
    keep: { actions: assign({ kept: ({ event }) => event['value'] }) },
    post: {
      actions: {
        type: 'send',
        params: ({ event }) => ({
          to: event['to'] as string,
          event: event['event'] as Order,
          ...(event['delay'] !== undefined && { delay: event['delay'] as number }),
          ...(event['id'] !== undefined && { id: event['id'] as string }),
        }),
      },
    },
    postMany: {
      actions: enqueueActions(({ enqueue, event }) => {
        for (const [n, to] of (event['to'] as string[]).entries()) {
          enqueue({ type: 'send', params: { to, event: { type: 'note', n: event['n'] ?? n } } });
        }
      }),
    },
    cancel: { actions: cancel(({ event }) => event['id'] as string) },
    later: {
      actions: raise(({ event }) => ({ type: 'note', n: event['n'] }), { delay: 'given', id: 'later' }),
    },
    twice: {
      actions: [
        raise({ type: 'note', n: 'first' }, { delay: 'given', id: 'a' }),
        raise({ type: 'note', n: 'second' }, { delay: 'given', id: 'b' }),
      ],
    },
    effect: {
      actions: {
        type: 'http',
        params: ({ event }) => effectInput({ n: event['n'] }, { retry: { attempts: 1 } }),
      },
    },
    spawn: { actions: spawnChild('kid', { id: ({ event }: { event: Order }) => event['id'] as string }) },
    unspawn: { actions: stopChild(({ event }) => event['id'] as string) },
    toKid: {
      actions: enqueueActions(({ enqueue, event }) =>
        enqueue.sendTo(event['id'] as string, event['event'] as Order),
      ),
    },
    throw: {
      actions: assign({
        kept: () => {
          throw new Error('as told');
        },
      }),
    },
    announce: { actions: [emit({ type: 'announced' }), log('said so')] },
    fail: {
      actions: { type: 'fail', params: { error: { code: 'gave_up', message: 'gave up', retryable: false } } },
    },
    start: {
      actions: {
        type: 'start',
        params: ({ event }) => event['child'] as { to: string; childId: string; machine: string },
      },
    },
    halt: { actions: { type: 'stop', params: ({ event }) => event['child'] as { to: string } } },
    move: {
      actions: { type: 'migrate', params: ({ event }) => event['child'] as { to: string; machine: string } },
    },
    'child.*': { actions: assign({ by: ({ context, event }) => [...context.by, event.type] }) },
    'xstate.done.actor.*': { actions: assign({ by: ({ context, event }) => [...context.by, event.type] }) },
    'xstate.error.actor.*': { actions: assign({ by: ({ context, event }) => [...context.by, event.type] }) },
    call: '.calling',
    stay: '.idle',
    finish: '.finished',
  },
  states: {
    idle: {},
    calling: {
      invoke: {
        id: 'call',
        src: 'http',
        input: { url: 'x' },
        onDone: { target: 'idle', actions: assign({ kept: ({ event }) => event.output }) },
        onError: { target: 'idle', actions: assign({ kept: ({ event }) => event.error }) },
      },
    },
    finished: { type: 'final' },
  },
});
