/**
 * The redaction of one subject: the order is an entry, the key is destroyed after its commit, and tried again until it
 * is. `redact` again is answered with how far it has come. An order to redact during a readmission is carried out when
 * that has ended, however it ended: the two must not reach the key at the same time.
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
  redaction_under_way: {
    retryable: true,
    help: 'Give the order again once `infrafabric show` says that the redaction is done.',
  },
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
    refuseReadmission: assign(({ context }) => {
      const message = `The data of ${context.subject} is being redacted; until that is done it is not readmitted`;
      throw new FabricError(redactionErrors.redaction_under_way, message);
    }),
    countFailure: assign({ failures: ({ context }) => context.failures + 1 }),
    keepDestroyed: assign({ destroyedAt: ({ system }) => moment(system).at }),
    keepReadmitted: assign({ destroyedAt: null }),
  },
  guards: {
    /** The newest order is one to redact: a readmission that is under way was overtaken. */
    isToBeRedacted: ({ context }) => context.orders.at(-1)?.type === 'redact',
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
      on: { redact: { actions: under }, readmit: { actions: 'refuseReadmission' } },
    },
    waiting: {
      after: { [PAUSE_MS]: 'destroying' },
      on: {
        redact: { target: 'destroying', actions: under },
        readmit: { actions: 'refuseReadmission' },
      },
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
        onDone: [
          { guard: 'isToBeRedacted', target: 'destroying', actions: 'keepReadmitted' },
          { target: 'open', actions: 'keepReadmitted' },
        ],
        onError: [
          // It may have come about all the same.
          { guard: 'isToBeRedacted', target: 'destroying' },
          { target: 'redacted', actions: 'countFailure' },
        ],
      },
      on: {
        redact: [{ guard: 'isToBeRedacted', actions: under }, { actions: ['keepOrder', under] }],
        readmit: [{ guard: 'isToBeRedacted', actions: 'refuseReadmission' }, { actions: under }],
      },
    },
  },
});

export const redaction = { name: 'redaction', version: 1, machine };
