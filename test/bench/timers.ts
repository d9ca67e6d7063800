/** Durable timers: how late they fire while many wait, and how many fire in a second when all are due at once. */
import type { alarm } from './machines.ts';
import { closedLoop, quantile } from './measure.ts';
import { type Realm, startRealm } from './realm.ts';
import { rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const PENDING = 100_000;
const FAR_MS = 86_400_000;
const PROBES = 5_000;
const PROBES_OVER_MS = 10_000;
const BURST = 20_000;
/** Setting this many timers takes about this long per timer. */
const SET_US = 500;
const LEAD_MS = 1_000;
const CALLERS = 512;

const LATENESS = 'timers: lateness';
const RATE = 'timers: all due at once';

export const timers: Suite = {
  benches: [LATENESS, RATE],
  async *run(wanted, { scale, profileDir }) {
    const [pending, probes, burst] = [PENDING, PROBES, BURST].map((n) => Math.ceil(n * scale)) as [
      number,
      number,
      number,
    ];
    await using realm = await startRealm({ durability: 'strict', profileDir });
    const far = Date.now() + FAR_MS;
    const setting = await set(realm, 'far', pending, () => far);
    if (wanted(LATENESS)) {
      const firstAt = Date.now() + LEAD_MS + (probes * SET_US) / 1000;
      const spreadMs = PROBES_OVER_MS * Math.max(scale, 0.1);
      const late = lateness(realm, 'probe', probes);
      await set(realm, 'probe', probes, (n) => Math.round(firstAt + (n * spreadMs) / probes));
      const { sorted } = await late;
      yield row(LATENESS, {
        p50Ms: rounded(quantile(sorted, 0.5), 2),
        p99Ms: rounded(quantile(sorted, 0.99), 2),
        pending,
        setPerSec: Math.round((setting.ops * 1000) / setting.elapsedMs),
      });
    }
    if (wanted(RATE)) {
      const dueAt = Date.now() + LEAD_MS + (burst * SET_US) / 1000;
      const late = lateness(realm, 'burst', burst);
      await set(realm, 'burst', burst, () => dueAt);
      if (Date.now() > dueAt) throw new Error('the timers were not all set before they were due');
      const { sorted, lastAt } = await late;
      yield row(RATE, {
        opsPerSec: Math.round((burst * 1000) / (lastAt - dueAt)),
        p50Ms: rounded(quantile(sorted, 0.5), 2),
        p99Ms: rounded(quantile(sorted, 0.99), 2),
        pending: pending + burst,
      });
    }
  },
};

function set(realm: Realm, name: string, count: number, dueAt: (n: number) => number) {
  return closedLoop({
    callers: CALLERS,
    count,
    operation: (n) =>
      realm.client.actor<typeof alarm>(`alarm/${name}-${n}`).ask({ type: 'set', dueAt: dueAt(n) }),
  });
}

/** From due until its event has reached this process, ms; `lastAt` in ms since the epoch. */
async function lateness(realm: Realm, name: string, count: number) {
  const times: number[] = [];
  let lastAt = 0;
  for await (const { address, event, body } of realm.client.watch('alarm/*', { bufferMax: count * 2 })) {
    if (event !== 'rang' || !address.startsWith(`alarm/${name}-`)) continue;
    lastAt = performance.timeOrigin + performance.now();
    times.push(lastAt - (body as { dueAt: number }).dueAt);
    if (times.length === count) break;
  }
  return { sorted: Float64Array.from(times).sort(), lastAt };
}
