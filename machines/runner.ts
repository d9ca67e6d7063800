/**
 * Runs the process of a session. It ends well with a process that ended with code 0, and fails with one that did not:
 * its supervisor then does what its rules say. Stopping it ends the process.
 */
import { setup } from 'xstate';
import { invocation, kernelActions } from '#schemas/machine-kit';
import { type RunnerInput, runnerInputSchema } from '#schemas/swarm';

interface Ended {
  readonly code: number | null;
  readonly signal?: string;
  readonly stderr?: string;
}

const machine = setup({
  types: {} as { context: RunnerInput; input: unknown; events: { type: string } },
  actors: { 'session-process': invocation<Ended, RunnerInput>() },
  actions: kernelActions,
  guards: { isWell: (_, { code }: { readonly code: number | null }) => code === 0 },
}).createMachine({
  id: 'runner',
  version: '1',
  context: ({ input }) => runnerInputSchema.parse(input),
  initial: 'running',
  states: {
    running: {
      invoke: {
        src: 'session-process',
        input: ({ context }) => context,
        onDone: [
          { guard: { type: 'isWell', params: ({ event }) => event.output }, target: 'ended' },
          {
            target: 'failed',
            actions: {
              type: 'fail',
              params: ({ event: { output } }) => ({ error: { message: 'the process failed', ...output } }),
            },
          },
        ],
        onError: {
          target: 'failed',
          actions: { type: 'fail', params: ({ event }) => ({ error: event.error }) },
        },
      },
    },
    ended: { type: 'final' },
    failed: {},
  },
});

export const runner = { name: 'runner', version: 1, machine };
