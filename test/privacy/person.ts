/** A machine that holds personal data and does with it all that a machine can: keep, answer, mail, emit, time, effects. */
import { assign, emit, raise, setup } from 'xstate';
import { z } from 'zod';
import { invocation, kernelActions } from '#schemas/machine-kit';
import type { Sealed } from '#schemas/sealed';

type Field = string | Sealed;

type PersonEvent =
  | { type: 'register'; name: Field; email?: Field; contacts?: { phone: Field; kind?: string }[] }
  | { type: 'note'; text: Field }
  | { type: 'tell'; to: string }
  | { type: 'order'; to: string; order: { type: string; subject: string; reason: string; by: string } }
  | { type: 'later' }
  | { type: 'timed'; name: Field }
  | { type: 'write' }
  | { type: 'if.inform'; message: { content: { name?: Field } } }
  | { type: 'throw' }
  | { type: 'get' };

export interface PersonContext {
  name: Field | null;
  email: Field | null;
  contacts: readonly unknown[];
  notes: readonly Field[];
  written: unknown;
}

const machine = setup({
  types: {} as { context: PersonContext; events: PersonEvent; emitted: { type: 'named'; name: unknown } },
  actions: { ...kernelActions },
  actors: { process: invocation<{ stdout: unknown }, object>() },
}).createMachine({
  id: 'person',
  version: '1',
  context: { name: null, email: null, contacts: [], notes: [], written: null },
  initial: 'idle',
  on: {
    register: {
      actions: [
        assign({
          name: ({ event }) => event.name,
          email: ({ event }) => event.email ?? null,
          contacts: ({ event }) => event.contacts ?? [],
        }),
        emit(({ event }) => ({ type: 'named' as const, name: event.name })),
        { type: 'reply', params: ({ context }) => ({ name: context.name }) },
      ],
    },
    'if.inform': {
      actions: [
        assign({ name: ({ event }) => event.message.content.name ?? null }),
        { type: 'reply', params: ({ context }) => ({ name: context.name }) },
      ],
    },
    note: { actions: assign({ notes: ({ context, event }) => [...context.notes, event.text] }) },
    tell: {
      actions: {
        type: 'send',
        params: ({ context, event }) => ({ to: event.to, event: { type: 'register', name: context.name } }),
      },
    },
    order: {
      actions: { type: 'send', params: ({ event }) => ({ to: event.to, event: event.order }) },
    },
    later: {
      actions: raise(({ context }) => ({ type: 'timed' as const, name: context.name ?? '' }), {
        delay: 60_000,
      }),
    },
    throw: {
      actions: assign(() => {
        throw new Error('as it was told to');
      }),
    },
    get: { actions: { type: 'reply', params: ({ context }) => context } },
  },
  states: {
    idle: { on: { write: 'writing' } },
    writing: {
      invoke: {
        src: 'process',
        input: ({ context }) => ({ command: 'cat', stdin: context.name }),
        onDone: { target: 'idle', actions: assign({ written: ({ event }) => event.output }) },
        onError: { target: 'idle', actions: assign({ written: ({ event }) => ({ error: event.error }) }) },
      },
    },
  },
});

/** Its schema marks what is personal. */
export const person = {
  name: 'person',
  version: 1,
  machine,
  personal: {
    events: {
      register: z.object({
        name: z.string().meta({ 'x-personal': true }),
        email: z.string().optional().meta({ 'x-personal': true }),
        contacts: z
          .array(z.object({ phone: z.string().meta({ 'x-personal': true }), kind: z.string().optional() }))
          .optional(),
      }),
      note: { type: 'object', properties: { text: { type: 'string', 'x-personal': true } } },
    },
  },
};
