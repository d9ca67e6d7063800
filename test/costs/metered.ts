/** A meter in front of the stand-in provider, on a real realm: what tests of the meter begin with. */

import { type CostsClient, openCosts } from '#actors/costs/client';
import { Callers } from '#actors/costs/meter/callers';
import { type Meter, type MeterParts, openMeter } from '#actors/costs/meter/meter';
import { Till, type TillNews, type TillParts } from '#actors/costs/meter/till';
import { Upstream, type UpstreamOptions } from '#actors/costs/meter/upstream';
import { wireOf } from '#actors/costs/meter/wires';
import { PriceList } from '#actors/costs/price-list';
import { readPrices } from '#actors/costs/prices/read';
import { type Budgets, openBudgets } from '#actors/governor/budgets';
import type { Client } from '#runtime/client/client';
import type { AccountView } from '#schemas/budget';
import type { CostRecord } from '#schemas/cost';
import { TestRealm } from '../rig/realm.ts';
import { StandInProvider } from './stand-in-provider.ts';

export const TOKEN = 'token-of-everybody-00';
export const TOKEN_OF_A = 'token-of-session-a-00';
/** What no caller may ever see, and no log. */
export const PROVIDER_KEY = 'sk-the-key-of-the-provider';

const open = (machine: string) => ({ machine, spawnOnMessage: true, door: 'open' });
const KINDS = Object.fromEntries(['budget', 'costs', 'ledger', 'prices'].map((kind) => [kind, open(kind)]));

/** Units for a million tokens: so an input token costs 2 micro-units, an output token 10. */
const PRICES = `prices:
  - { provider: openai, model: large-1, aliases: ["large-1-*"], from: 2026-01-01, input: 2, cachedInput: 1, output: 10, outputMax: 1000 }
  - { provider: openai, model: vector-1, from: 2026-01-01, input: 1, output: 0 }
  - { provider: openai, model: franc-1, currency: CHF, from: 2026-01-01, input: 1, output: 1 }
  - { provider: anthropic, model: poet-4, from: 2026-01-01, input: 3, cachedInput: 1, cacheWrite: 4, cacheWriteLong: 6, output: 15 }
`;

export interface Changes {
  readonly till?: Partial<TillParts>;
  readonly meter?: Partial<MeterParts>;
  readonly upstream?: Partial<UpstreamOptions>;
}

export class Metered implements AsyncDisposable {
  readonly realm: TestRealm;
  readonly client: Client;
  readonly costs: CostsClient;
  readonly budgets: Budgets;
  readonly provider: StandInProvider;
  readonly news: TillNews[] = [];
  readonly #prices: PriceList;
  readonly #heard = new Set<() => void>();
  readonly #meters: Meter[] = [];

  private constructor(realm: TestRealm, client: Client, provider: StandInProvider) {
    this.realm = realm;
    this.client = client;
    this.provider = provider;
    this.#prices = new PriceList(client);
    this.costs = openCosts(client, this.#prices);
    this.budgets = openBudgets(client);
  }

  static async start(): Promise<Metered> {
    const realm = await TestRealm.start({ config: { kinds: KINDS, durability: 'relaxed' } });
    const operator = await realm.client({ from: 'operator/o' });
    await operator.ask('prices/main', {
      type: 'price.apply',
      rows: readPrices('prices.yaml', PRICES),
    } as never);
    const budgets = openBudgets(operator);
    await budgets.set('realm', { currency: 'USD', limit: { micros: 1_000_000_000 }, period: 'total' });
    return new Metered(realm, await realm.client({ from: 'meter/main' }), await StandInProvider.open());
  }

  /** Another limit for an account below the realm’s, as an operator sets it. */
  async limit(account: string, micros: number): Promise<void> {
    const operator = await this.realm.client({ from: 'operator/o' });
    await openBudgets(operator).set(account, { parent: 'realm', limit: { micros }, period: 'total' });
  }

  async open(changes: Changes = {}): Promise<Meter> {
    const till = new Till({
      costs: this.costs,
      prices: this.#prices,
      budgets: this.budgets,
      isUnpricedForwarded: false,
      leaseMs: 60_000,
      callsAhead: 2,
      idleMs: 50,
      bytesPerToken: 1,
      outputMax: 1_000,
      told: (news) => {
        this.news.push(news);
        for (const heard of this.#heard) heard();
      },
      ...changes.till,
    });
    const upstream = (wire: 'openai' | 'anthropic'): Upstream =>
      new Upstream({
        url: this.provider.url,
        key: wireOf(wire).key(PROVIDER_KEY),
        isKeyOfCaller: false,
        socketsMax: 64,
        silenceMs: 60_000,
        ...changes.upstream,
      });
    const meter = await openMeter({
      host: '127.0.0.1',
      port: 0,
      providers: new Map([
        ['openai', { wire: 'openai', upstream: upstream('openai'), prices: 'openai', showsAll: false }],
        [
          'anthropic',
          { wire: 'anthropic', upstream: upstream('anthropic'), prices: 'anthropic', showsAll: false },
        ],
      ]),
      callers: new Callers([
        { token: TOKEN, session: undefined, swarm: undefined, account: undefined },
        { token: TOKEN_OF_A, session: 'a', swarm: undefined, account: undefined },
      ]),
      till,
      callsMax: 64,
      bodyBytesMax: 2 ** 20,
      passesOthers: false,
      failed: () => undefined,
      ...changes.meter,
    });
    this.#meters.push(meter);
    return meter;
  }

  /** Ends a meter before the others. */
  async end(meter: Meter): Promise<void> {
    this.#meters.splice(this.#meters.indexOf(meter), 1);
    await meter[Symbol.asyncDispose]();
  }

  /** The records so far, once there are so many of this session. */
  async charged(session: string, many: number): Promise<readonly CostRecord[]> {
    for (;;) {
      const records = this.news.flatMap((news) =>
        news.event === 'charged' && news.record.session === session ? [news.record] : [],
      );
      if (records.length >= many) return records;
      await new Promise<void>((heard) => this.#once(heard));
    }
  }

  /** An account, once nothing is held on it any more. */
  async settled(account: string): Promise<AccountView> {
    for (;;) {
      const found = await this.budgets.account(account);
      if (found === undefined) throw new Error(`there is no account ${account}`);
      if (found.account.reserved.micros === 0) return found.account;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const meter of this.#meters) await meter[Symbol.asyncDispose]();
    this.#prices[Symbol.dispose]();
    await this.provider[Symbol.asyncDispose]();
    await this.realm[Symbol.asyncDispose]();
  }

  #once(heard: () => void): void {
    const one = (): void => {
      this.#heard.delete(one);
      heard();
    };
    this.#heard.add(one);
  }
}
