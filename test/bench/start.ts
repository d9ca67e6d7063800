/** The first ask: from `up` on an empty folder to its answer. */
import { startRealm } from './realm.ts';
import { median, rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const BENCH = 'first ask after up on an empty folder';

export const start: Suite = {
  benches: [BENCH],
  async *run(_wanted, { rounds }) {
    const times: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const began = performance.now();
      await using realm = await startRealm({ durability: 'strict', isFirst: true });
      await realm.client.ask('counter/first', { type: 'inc' });
      times.push(performance.now() - began);
    }
    yield row(BENCH, {
      p50Ms: rounded(median(times), 0),
      p99Ms: rounded(Math.max(...times), 0),
      runs: rounds,
    });
  },
};
