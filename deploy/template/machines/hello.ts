/** Greets, and remembers how often. Try: infrafabric ask hello/world '{"type":"greet","name":"Ada"}' */
import { assign, setup } from 'xstate';

interface Hello {
  greeted: number;
}

type HelloEvent = { type: 'greet'; name?: string };

export const hello = setup({
  types: {} as { context: Hello; events: HelloEvent },
  actions: {
    /** Carried out by the kernel: answers the ask. */
    reply: (_args: unknown, _body: unknown) => {},
  },
}).createMachine({
  id: 'hello',
  version: '1',
  context: { greeted: 0 },
  on: {
    greet: {
      actions: [
        assign({ greeted: ({ context }) => context.greeted + 1 }),
        {
          type: 'reply',
          params: ({ context, event }: { context: Hello; event: HelloEvent }) => ({
            hello: event.name ?? 'world',
            greeted: context.greeted,
          }),
        },
      ],
    },
  },
});
