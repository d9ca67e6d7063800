/**
 * What the meter adds to a call: the same small calls straight to a stand-in provider and through the meter, in turn, in one run.
 *
 * `addedP50Ms` is the difference of the medians: a hop over loopback, and the reservation in the log. Charging comes after the
 * answer, and is part of the load.
 */
import { Agent, request } from 'node:http';
import { openCosts } from '#actors/costs/client';
import { Callers } from '#actors/costs/meter/callers';
import { openMeter } from '#actors/costs/meter/meter';
import { Till } from '#actors/costs/meter/till';
import { Upstream } from '#actors/costs/meter/upstream';
import { PriceList } from '#actors/costs/price-list';
import { readPrices } from '#actors/costs/prices/read';
import { openBudgets } from '#actors/governor/budgets';
import { connect } from '#runtime/client/node';
import { StandInProvider } from '../../costs/stand-in-provider.ts';
import { closedLoop, figures } from '../measure.ts';
import { startRealm } from '../realm.ts';
import { median, type Row, rounded, row } from '../row.ts';
import type { Suite } from '../suite.ts';

const TOKEN = 'token-of-the-benchmark';
const BODY = JSON.stringify({
  model: 'large-1',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'x'.repeat(1_000) }],
});
const STREAMED = JSON.stringify({ ...(JSON.parse(BODY) as object), stream: true });
const PRICES = 'prices: [{ provider: openai, model: large-1, from: 2026-01-01, input: 2, output: 10 }]';
const PATH = '/v1/chat/completions';

const cases = (['strict', 'relaxed'] as const).flatMap((durability) =>
  [false, true].map((isStream) => ({
    bench: `meter ${durability}, ${isStream ? 'stream' : 'one piece'}`,
    durability,
    isStream,
  })),
);

export const meter: Suite = {
  benches: cases.map(({ bench }) => bench),
  async *run(wanted, { rounds, roundMs, profileDir }) {
    for (const durability of ['strict', 'relaxed'] as const) {
      const chosen = cases.filter((one) => one.durability === durability && wanted(one.bench));
      if (chosen.length === 0) continue;
      await using realm = await startRealm({ durability, profileDir });
      await using client = await connect({ ...realm.address, from: 'operator/bench' });
      await client.ask('prices/main', {
        type: 'price.apply',
        rows: readPrices('prices.yaml', PRICES),
      } as never);
      const budgets = openBudgets(client);
      await budgets.set('realm', { currency: 'USD', limit: { micros: 1e14, tokens: 1e14 } });
      await using provider = await StandInProvider.open();
      using prices = new PriceList(client);
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
        budgets,
        isUnpricedForwarded: false,
        leaseMs: 60_000,
        bytesPerToken: 1,
        outputMax: 100,
        told: () => undefined,
      });
      await using open = await openMeter({
        host: '127.0.0.1',
        port: 0,
        providers: new Map([['openai', { wire: 'openai', upstream, prices: 'openai' }]]),
        callers: new Callers([{ token: TOKEN, session: undefined, swarm: undefined, account: undefined }]),
        till,
        callsMax: 64,
        bodyBytesMax: 2 ** 20,
        passesOthers: false,
        failed: (error) => {
          throw new Error(error.message);
        },
      });
      const agent = new Agent({ keepAlive: true });
      for (const { bench, isStream } of chosen) {
        const body = isStream ? STREAMED : BODY;
        yield await measured(
          bench,
          () => call(agent, `${provider.url}${PATH}`, body),
          () => call(agent, `${open.url}/openai${PATH}`, body),
          { rounds, roundMs },
        );
        provider.seen.length = 0;
      }
      agent.destroy();
    }
  },
};

async function measured(
  bench: string,
  direct: () => Promise<void>,
  metered: () => Promise<void>,
  { rounds, roundMs }: { readonly rounds: number; readonly roundMs: number },
): Promise<Row> {
  const of = async (operation: () => Promise<void>) =>
    figures(await closedLoop({ callers: 1, durationMs: roundMs, operation }));
  for (const operation of [direct, metered]) await of(operation);
  const [without, through]: [Awaited<ReturnType<typeof of>>[], Awaited<ReturnType<typeof of>>[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    // Each goes first in every other round.
    for (const isMetered of round % 2 === 0 ? [false, true] : [true, false])
      (isMetered ? through : without).push(await of(isMetered ? metered : direct));
  }
  const p50 = (list: typeof without): number => median(list.map(({ p50Ms }) => p50Ms));
  const p99 = (list: typeof without): number => median(list.map(({ p99Ms }) => p99Ms));
  const added = through.map(({ p50Ms }, n) => p50Ms - (without[n]?.p50Ms ?? Number.NaN));
  return row(bench, {
    opsPerSec: median(through.map(({ opsPerSec }) => opsPerSec)),
    p50Ms: rounded(p50(through), 3),
    p99Ms: rounded(p99(through), 3),
    limitOpsPerSec: median(without.map(({ opsPerSec }) => opsPerSec)),
    addedP50Ms: rounded(median(added), 3),
    directP50Ms: rounded(p50(without), 3),
    directP99Ms: rounded(p99(without), 3),
  });
}

function call(agent: Agent, url: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const sent = request(url, { method: 'POST', agent, headers }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`status ${answer.statusCode}`));
      answer.once('end', resolve).once('error', reject).resume();
    });
    sent.once('error', reject).end(body);
  });
}
