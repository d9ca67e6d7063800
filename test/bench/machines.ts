/** Actors of the benchmarks. */
import { emit, raise, setup } from 'xstate';
import { kernelActions, moment } from '#schemas/machine-kit';

interface Hop {
  readonly type: 'hop';
  /** Hops still to make. */
  readonly left: number;
  readonly ring: readonly string[];
  /** Place of the receiver in the ring. */
  readonly at: number;
  readonly token: number;
}

/** Passes a token on around a ring; the last one says that it is home. */
export const relay = setup({
  types: {} as { events: Hop; emitted: { type: 'home'; token: number } },
  actions: { ...kernelActions },
}).createMachine({
  id: 'relay',
  version: '1',
  on: {
    hop: [
      {
        guard: ({ event }) => event.left === 0,
        actions: emit(({ event }) => ({ type: 'home', token: event.token })),
      },
      {
        actions: {
          type: 'send',
          params: ({ event }) => {
            const at = (event.at + 1) % event.ring.length;
            return { to: event.ring[at] ?? '', event: { ...event, left: event.left - 1, at } };
          },
        },
      },
    ],
  },
});

/** Rings at a time, in ms since the epoch. */
export const alarm = setup({
  types: {} as {
    events: { type: 'set'; dueAt: number } | { type: 'ring'; dueAt: number };
    emitted: { type: 'rang'; dueAt: number };
  },
}).createMachine({
  id: 'alarm',
  version: '1',
  on: {
    set: {
      actions: raise(({ event }) => ({ type: 'ring', dueAt: event.dueAt }), {
        id: 'ring',
        delay: ({ event, self }) => Math.max(1, event.dueAt - moment(self).at),
      }),
    },
    ring: { actions: emit(({ event }) => ({ type: 'rang', dueAt: event.dueAt })) },
  },
});
