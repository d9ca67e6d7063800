/**
 * What the meter adds to a call: the same small calls straight to a stand-in provider and through the meter, one at a time and in
 * turn, in one run; and plain asks of the same realm beside them.
 *
 * `addedP50Ms` is the difference of the medians: a hop over loopback, and, where nothing is held ahead, a reservation in the log
 * (`askP50Ms` is what an ask takes). The next call begins when the one before is charged, and its reservation filled up: that comes
 * after its answer.
 */
import { Agent, request } from 'node:http';
import { openCosts } from '#actors/costs/client';
import { Callers } from '#actors/costs/meter/callers';
import { type Meter, openMeter } from '#actors/costs/meter/meter';
import { Till } from '#actors/costs/meter/till';
import { Upstream } from '#actors/costs/meter/upstream';
import { PriceList } from '#actors/costs/price-list';
import { readPrices } from '#actors/costs/prices/read';
import { openBudgets } from '#actors/governor/budgets';
import type { Client } from '#runtime/client/client';
import { StandInProvider } from '../../costs/stand-in-provider.ts';
import { quantile } from '../measure.ts';
import { median, type Row, rounded, row } from '../row.ts';
import type { Suite } from '../suite.ts';
import { onRealms, underEach } from './on-realms.ts';

const TOKEN = 'token-of-the-benchmark';
const BODY = JSON.stringify({
  model: 'large-1',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'x'.repeat(1_000) }],
});
const STREAMED = JSON.stringify({ ...(JSON.parse(BODY) as object), stream: true });
const PRICES = 'prices: [{ provider: openai, model: large-1, from: 2026-01-01, input: 2, output: 10 }]';
const KINDS = [
  { name: 'one piece', isStream: false, callsAhead: 2 },
  { name: 'stream', isStream: true, callsAhead: 2 },
  { name: 'one piece, nothing held ahead', isStream: false, callsAhead: 0 },
] as const;
const PATH = '/v1/chat/completions';

const cases = underEach((durability) =>
  KINDS.map((kind) => ({ bench: `meter ${durability}, ${kind.name}`, durability, ...kind })),
);

export const meter: Suite = {
  benches: cases.map(({ bench }) => bench),
  run: (wanted, { rounds, roundMs, profileDir }) =>
    onRealms(cases, wanted, profileDir, async function* (client, chosen) {
      await client.ask('prices/main', {
        type: 'price.apply',
        rows: readPrices('prices.yaml', PRICES),
      } as never);
      await openBudgets(client).set('realm', { currency: 'USD', limit: { micros: 1e14, tokens: 1e14 } });
      await using provider = await StandInProvider.open();
      using prices = new PriceList(client);
      const agent = new Agent({ keepAlive: true });
      for (const { bench, isStream, callsAhead } of chosen) {
        const body = isStream ? STREAMED : BODY;
        let charged = Promise.withResolvers<void>();
        await using open = await metering(client, prices, provider, callsAhead, () => charged.resolve());
        yield await measured(
          bench,
          {
            direct: () => call(agent, `${provider.url}${PATH}`, body),
            metered: async () => {
              charged = Promise.withResolvers();
              const took = await call(agent, `${open.url}/openai${PATH}`, body);
              await charged.promise;
              return took;
            },
            ask: async () => {
              const began = performance.now();
              await client.ask('counter/k1', { type: 'inc' });
              return performance.now() - began;
            },
          },
          { rounds, roundMs },
        );
        provider.seen.length = 0;
      }
      agent.destroy();
    }),
};

function metering(
  client: Client,
  prices: PriceList,
  provider: StandInProvider,
  callsAhead: number,
  told: () => void,
): Promise<Meter> {
  const upstream = new Upstream({
    url: provider.url,
    key: undefined,
    isKeyOfCaller: false,
    socketsMax: 64,
    silenceMs: 60_000,
  });
  const till = new Till({
    costs: openCosts(client, prices),
    prices,
    budgets: openBudgets(client),
    isUnpricedForwarded: false,
    leaseMs: 60_000,
    callsAhead,
    idleMs: 60_000,
    bytesPerToken: 1,
    outputMax: 100,
    told,
  });
  return openMeter({
    host: '127.0.0.1',
    port: 0,
    providers: new Map([['openai', { wire: 'openai', upstream, prices: 'openai', showsAll: false }]]),
    callers: new Callers([{ token: TOKEN, session: undefined, swarm: undefined, account: undefined }]),
    till,
    callsMax: 64,
    bodyBytesMax: 2 ** 20,
    passesOthers: false,
    failed: (error) => {
      throw new Error(error.message);
    },
  });
}

/** Ms of one operation. */
type Operation = () => Promise<number>;
const SUBJECTS = ['direct', 'metered', 'ask'] as const;

async function measured(
  bench: string,
  operations: Readonly<Record<(typeof SUBJECTS)[number], Operation>>,
  { rounds, roundMs }: { readonly rounds: number; readonly roundMs: number },
): Promise<Row> {
  for (const subject of SUBJECTS) await times(operations[subject], roundMs);
  const taken = SUBJECTS.map((): Float64Array[] => []);
  for (let round = 0; round < rounds; round += 1) {
    // Each goes first in its turn.
    for (let n = 0; n < SUBJECTS.length; n += 1) {
      const at = (round + n) % SUBJECTS.length;
      const subject = SUBJECTS[at] ?? 'direct';
      taken[at]?.push(await times(operations[subject], roundMs));
    }
  }
  const of = (subject: (typeof SUBJECTS)[number], q: number): number =>
    median((taken[SUBJECTS.indexOf(subject)] ?? []).map((list) => quantile(list, q)));
  return row(bench, {
    p50Ms: rounded(of('metered', 0.5), 3),
    p99Ms: rounded(of('metered', 0.99), 3),
    addedP50Ms: rounded(of('metered', 0.5) - of('direct', 0.5), 3),
    directP50Ms: rounded(of('direct', 0.5), 3),
    directP99Ms: rounded(of('direct', 0.99), 3),
    askP50Ms: rounded(of('ask', 0.5), 3),
  });
}

/** Sorted. */
async function times(operation: Operation, durationMs: number): Promise<Float64Array> {
  const taken: number[] = [];
  for (const end = performance.now() + durationMs; performance.now() < end; ) taken.push(await operation());
  return Float64Array.from(taken).sort();
}

/** Until the whole answer is there. */
function call(agent: Agent, url: string, body: string): Promise<number> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const sent = request(url, { method: 'POST', agent, headers }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`status ${answer.statusCode}`));
      answer
        .once('end', () => resolve(performance.now() - began))
        .once('error', reject)
        .resume();
    });
    sent.on('error', reject).end(body);
  });
}
