/**
 * The redaction of one subject: the order is an entry, the key is destroyed after its commit, and tried again until it
 * is. `redact` again is answered with how far it has come.
 */
import { assign, setup } from 'xstate';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import { effectInput, invocation, kernelActions, moment } from '#schemas/machine-kit';
import {
  PRIVACY_DRIVER,
  type RedactionContext,
  type RedactionEvent,
  type RedactionOrder,
  redactionEventSchema,
} from '#schemas/privacy';

export const redactionErrors = errorKinds({
  not_an_operator: { retryable: false, help: 'Give the order with `infrafabric redact`.' },
});

/** Orders kept: a subject is readmitted rarely; the log has all. */
const ORDERS_KEPT_MAX = 20;
/** Attempts in quick succession; after them the bucket is given a pause, for as often as it takes. */
const ATTEMPTS = 8;
const FIRST_DELAY_MS = 200;
const MAX_DELAY_MS = 10_000;
const PAUSE_MS = 30_000;

const kit = setup({
  types: {} as { context: RedactionContext; events: RedactionEvent },
  actions: {
    ...kernelActions,
    keepOrder: assign(({ context, event, system }) => {
      const { type, subject, reason, by } = redactionEventSchema.parse(event);
      const { at, from } = moment(system);
      // An operator's order comes from no actor; any actor could mail one.
      if (from !== undefined)
        throw new FabricError(redactionErrors.not_an_operator, `${from} may not redact`);
      const order = { type, reason, by, at };
      return { subject, failures: 0, orders: [...context.orders, order].slice(-ORDERS_KEPT_MAX) };
    }),
    countFailure: assign({ failures: ({ context }) => context.failures + 1 }),
    keepDestroyed: assign({ destroyedAt: ({ system }) => moment(system).at }),
    keepReadmitted: assign({ destroyedAt: null }),
  },
  actors: { [PRIVACY_DRIVER]: invocation<{ at?: number; erased?: number }, RedactionOrder>() },
});

/** The effect with its patience. */
function order(op: RedactionOrder['op']) {
  return ({ context }: { context: RedactionContext }) =>
    effectInput({ op, subject: context.subject ?? '' } satisfies RedactionOrder, {
      retry: { attempts: ATTEMPTS, firstDelayMs: FIRST_DELAY_MS, maxDelayMs: MAX_DELAY_MS },
    });
}

const under = { type: 'reply', params: { state: 'under way' } } as const;

const machine = kit.createMachine({
  id: 'redaction',
  version: '1',
  context: { subject: null, orders: [], destroyedAt: null, failures: 0 },
  initial: 'open',
  states: {
    open: {
      on: { redact: { target: 'destroying', actions: ['keepOrder', under] } },
    },
    destroying: {
      invoke: {
        src: PRIVACY_DRIVER,
        input: order('destroy'),
        onDone: { target: 'redacted', actions: 'keepDestroyed' },
        onError: { target: 'waiting', actions: 'countFailure' },
      },
      on: { redact: { actions: under } },
    },
    waiting: {
      after: { [PAUSE_MS]: 'destroying' },
      on: { redact: { target: 'destroying', actions: under } },
    },
    redacted: {
      on: {
        redact: {
          actions: {
            type: 'reply',
            params: ({ context }) => ({ state: 'redacted', destroyedAt: context.destroyedAt }),
          },
        },
        readmit: { target: 'readmitting', actions: ['keepOrder', under] },
      },
    },
    readmitting: {
      invoke: {
        src: PRIVACY_DRIVER,
        input: order('readmit'),
        onDone: { target: 'open', actions: 'keepReadmitted' },
        onError: { target: 'redacted', actions: 'countFailure' },
      },
      on: { readmit: { actions: under } },
    },
  },
});

export const redaction = { name: 'redaction', version: 1, machine };
