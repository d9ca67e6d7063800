/** Durable asks of one node with one shard. */
import { duel } from './duel.ts';
import { kernelSubject } from './kernel.ts';
import { limitSubject } from './limit/limit.ts';
import type { Durability } from './realm.ts';
import type { Suite } from './suite.ts';

interface AskCase {
  readonly bench: string;
  readonly durability: Durability;
  readonly callers: number;
  readonly actors: number;
  /** False: the client sends a message for each ask. */
  readonly batching: boolean;
}

const DURABILITIES = ['strict', 'relaxed'] as const;

const cases: readonly AskCase[] = [
  ...DURABILITIES.flatMap((durability) =>
    [100, 100_000].flatMap((actors) =>
      [1, 64, 512].map((callers) => ({
        bench: `ask ${durability}, ${callers} callers, ${actors} actors`,
        durability,
        callers,
        actors,
        batching: true,
      })),
    ),
  ),
  ...DURABILITIES.flatMap((durability) =>
    [64, 512].map((callers) => ({
      bench: `ask ${durability} without batching, ${callers} callers, 100 actors`,
      durability,
      callers,
      actors: 100,
      batching: false,
    })),
  ),
];

export const asks: Suite = {
  benches: cases.map(({ bench }) => bench),
  async *run(wanted, { rounds, roundMs, limitOnly, profileDir }) {
    for (const batching of [true, false]) {
      for (const durability of DURABILITIES) {
        const isOurs = (one: AskCase) => one.durability === durability && one.batching === batching;
        const chosen = cases.filter((one) => isOurs(one) && wanted(one.bench));
        if (chosen.length === 0) continue;
        await using limit = await limitSubject(durability === 'strict', profileDir);
        await using kernel = limitOnly ? undefined : await kernelSubject(durability, batching, profileDir);
        for (const one of chosen) yield await duel({ ...one, limit, kernel, rounds, roundMs });
      }
    }
  },
};
