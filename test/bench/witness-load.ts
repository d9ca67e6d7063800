/** What the witness costs the realm it watches: asks with everything on beside asks without. */
import { closedLoop, figures } from './measure.ts';
import { type Realm, startRealm } from './realm.ts';
import { median, rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const ACTORS = 1_000;
const CASES = [64, 512].map((callers) => ({
  callers,
  bench: `asks with the witness on, ${callers} callers`,
}));
/** What is looked for is smaller than how the speed of a machine changes from one second to the next: many short pairs. */
const PAIRS_PER_ROUND = 4;
const WITHOUT = ['witness: { enabled: false }'];

export const witnessLoad: Suite = {
  benches: CASES.map(({ bench }) => bench),
  async *run(wanted, { rounds, roundMs, profileDir }) {
    await using on = await startRealm({ durability: 'strict', profileDir });
    await using off = await startRealm({ durability: 'strict', config: WITHOUT });
    for (const { callers, bench } of CASES.filter((one) => wanted(one.bench))) {
      const pairs: { readonly on: number; readonly off: number }[] = [];
      for (const realm of [on, off]) await round(realm, callers, roundMs);
      for (let i = 0; i < rounds * PAIRS_PER_ROUND; i += 1) {
        // Each goes first in every other round.
        const first = await round(i % 2 === 0 ? on : off, callers, roundMs / 2);
        const second = await round(i % 2 === 0 ? off : on, callers, roundMs / 2);
        pairs.push(i % 2 === 0 ? { on: first, off: second } : { on: second, off: first });
      }
      yield row(bench, {
        opsPerSec: median(pairs.map((pair) => pair.on)),
        limitOpsPerSec: median(pairs.map((pair) => pair.off)),
        ratio: rounded(median(pairs.map((pair) => pair.on / pair.off)), 3),
      });
    }
  },
};

async function round(realm: Realm, callers: number, durationMs: number): Promise<number> {
  const sample = await closedLoop({
    callers,
    durationMs,
    operation: (n) => realm.client.ask(`counter/k${n % ACTORS}`, { type: 'inc' }),
  });
  return figures(sample).opsPerSec;
}
