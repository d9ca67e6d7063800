/** Mail between shards: tokens go around a ring of actors, each in another shard than the one before. */
import { Subjects } from '#runtime/bus/subjects';
import type { relay } from './machines.ts';
import { closedLoop, figures } from './measure.ts';
import { type Realm, startRealm } from './realm.ts';
import { rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

/** Divided among the hops of a token, the ask that starts it and the event that ends it weigh little. */
const HOPS_OF_A_TOKEN = 50;
const TOKENS_AT_A_TIME = 256;
const WARM_UP_TOKENS = 100;

const cases = (['strict', 'relaxed'] as const).flatMap((durability) => [
  { bench: `cross-shard mail ${durability}, 1 token`, durability, callers: 1, tokens: 200 },
  {
    bench: `cross-shard mail ${durability}, ${TOKENS_AT_A_TIME} tokens`,
    durability,
    callers: TOKENS_AT_A_TIME,
    tokens: 4_000,
  },
]);

export const mail: Suite = {
  benches: cases.map(({ bench }) => bench),
  async *run(wanted, { scale, profileDir }) {
    for (const durability of ['strict', 'relaxed'] as const) {
      const chosen = cases.filter((one) => one.durability === durability && wanted(one.bench));
      if (chosen.length === 0) continue;
      await using realm = await startRealm({ durability, profileDir });
      using tokens = await openTokens(realm);
      const warmUp = Math.ceil(WARM_UP_TOKENS * scale);
      await closedLoop({ callers: 1, count: warmUp, operation: () => tokens.travel() });
      for (const { bench, callers, tokens: count } of chosen) {
        const operation = () => tokens.travel();
        const sample = await closedLoop({ callers, count: Math.ceil(count * scale), operation });
        const { opsPerSec, p50Ms, p99Ms } = figures(sample);
        // p50 and p99 are those of tokens, per hop.
        yield row(bench, {
          opsPerSec: opsPerSec * HOPS_OF_A_TOKEN,
          p50Ms: rounded(p50Ms / HOPS_OF_A_TOKEN, 3),
          p99Ms: rounded(p99Ms / HOPS_OF_A_TOKEN, 3),
        });
      }
    }
  },
};

interface Tokens extends Disposable {
  /** Resolves when a new token has made all its hops. */
  travel(): Promise<void>;
}

async function openTokens(realm: Realm): Promise<Tokens> {
  const { shardCount = 1 } = await realm.status();
  const ring = ringOf(shardCount);
  const away = new Map<number, () => void>();
  const watching = new AbortController();
  void (async () => {
    for await (const { body } of realm.client.watch('relay/*', {
      signal: watching.signal,
      bufferMax: 65_536,
    })) {
      const { token } = body as { token: number };
      away.get(token)?.();
      away.delete(token);
    }
  })();
  await realm.client.connection.flush();
  // Mail wakes nobody who does not live yet.
  for (const address of ring) {
    await realm.client.actor<typeof relay>(address).ask({ type: 'hop', left: 0, ring, at: 0, token: -1 });
  }
  let next = 0;
  return {
    async travel() {
      const token = next++;
      const home = new Promise<void>((resolve) => away.set(token, resolve));
      const at = token % ring.length;
      await realm.client
        .actor<typeof relay>(ring[at] ?? '')
        .ask({ type: 'hop', left: HOPS_OF_A_TOKEN, ring, at, token });
      await home;
    },
    [Symbol.dispose]: () => watching.abort(),
  };
}

/** One actor in each shard. */
function ringOf(shards: number): string[] {
  const ring: string[] = [];
  for (let n = 0; ring.filter(Boolean).length < shards; n++) {
    const address = `relay/r${n}`;
    ring[new Subjects('if', shards).shardOf(address)] ??= address;
  }
  return ring;
}
