/** The till without a realm: what the next meter does for one that was killed. */
import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { CostsClient, Usage } from '#actors/costs/client';
import { Holders } from '#actors/costs/meter/holders';
import { type Call, type Held, Till, type TillParts } from '#actors/costs/meter/till';
import { type Lost, UnderWay } from '#actors/costs/meter/under-way';
import type { PriceList } from '#actors/costs/price-list';
import { openBudgets } from '#actors/governor/budgets';
import { governorErrors } from '#actors/governor/errors';
import { type Account, initialLedger, type LedgerContext } from '#machines/ledger/context';
import { decideLedger } from '#machines/ledger/decide';
import { rowOf } from '#machines/ledger/table';
import { taskErrors } from '#machines/task/errors';
import type { Client } from '#runtime/client/client';
import { FabricError } from '#schemas/fabric-error';
import { priceRowSchema } from '#schemas/price';

const ROW = priceRowSchema.parse({
  id: 'openai/m@2026-01-01',
  provider: 'openai',
  model: 'm',
  currency: 'USD',
  from: 0,
  perMillion: { input: 2_000_000, output: 10_000_000 },
});
const PAYER = { session: 'a', task: null, swarm: null, account: undefined, isBound: false };
/** No process has it. */
const DEAD_PID = 2 ** 31 - 1;

function callOf(id: string): Call {
  return {
    id,
    provider: 'openai',
    model: 'm',
    payer: PAYER,
    bodyBytes: 400,
    outputMax: 50,
    choices: 1,
    hasOutput: true,
    traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  };
}

/** The way of one meter to the realm: it is killed while it waits for the answer to its last ask. */
class Line {
  readonly #realm: Stand;
  readonly #asksMax: number;
  readonly #killed = Promise.withResolvers<void>();
  readonly #buried = Promise.withResolvers<never>();
  #asks = 0;
  #isBuried = false;
  /** What was sent, and has not arrived. */
  readonly late: Event[] = [];

  constructor(realm: Stand, asksMax: number) {
    this.#realm = realm;
    this.#asksMax = asksMax;
    this.#buried.promise.catch(() => undefined);
  }

  get isKilled(): boolean {
    return this.#asks >= this.#asksMax;
  }

  get killed(): Promise<void> {
    return this.#killed.promise;
  }

  async ask<Answer>(event: Event, hear: () => Answer): Promise<Answer> {
    if (this.#realm.isAway) throw new FabricError({ ...governorErrors.bad_ledger, retryable: true }, 'away');
    this.#asks += 1;
    if (this.#asks > this.#asksMax && !this.#isBuried) this.late.push(event);
    const answer = this.#asks > this.#asksMax ? undefined : hear();
    if (!this.isKilled) return answer as Answer;
    this.#killed.resolve();
    return await this.#buried.promise;
  }

  /** Nothing of it is left that waits. */
  bury(): void {
    this.#isBuried = true;
    this.#buried.reject(new FabricError(governorErrors.bad_ledger, 'killed'));
  }
}

type Event = { readonly type: string };

/** A realm with a ledger and a book, and meters in one folder that are killed. */
class Stand {
  readonly folder = mkdtempSync(join(tmpdir(), 'till-'));
  /** By id; a record counts once. */
  readonly recorded = new Map<string, Usage>();
  ledger: LedgerContext = initialLedger(undefined, 'ledger/main');
  isAway = false;

  constructor() {
    const limit = { micros: 1_000_000, tokens: 1_000_000 };
    this.hear({ type: 'ledger.set', account: 'realm', currency: 'USD', limit } as Event, 'operator/ann');
  }

  hear(event: Event, from = 'meter/main'): unknown {
    const heard = { event, self: 'ledger/main', at: 1_000, from };
    const { patch, reply } = decideLedger(this.ledger, heard);
    this.ledger = { ...this.ledger, ...patch };
    return reply;
  }

  get account(): Pick<Account, 'total' | 'reserved' | 'over'> | undefined {
    return rowOf(this.ledger.accounts, 'realm');
  }

  till(more: Partial<TillParts> = {}, line: Line = new Line(this, Number.POSITIVE_INFINITY)): Till {
    const client = {
      clientId: 'c',
      ask: async (_: string, event: Event) => ({ reply: await line.ask(event, () => this.hear(event)) }),
    };
    const record = (usage: Usage) =>
      line.ask({ type: 'costs.record' }, () => {
        const id = usage.id ?? '';
        if (!this.recorded.has(id)) this.recorded.set(id, usage);
        return { record: usage, known: false };
      });
    return new Till({
      costs: { record } as unknown as CostsClient,
      prices: { quote: async () => ({ found: true, row: ROW }) } as unknown as PriceList,
      budgets: openBudgets(client as unknown as Client),
      isUnpricedForwarded: false,
      leaseMs: 60_000,
      callsAhead: 0,
      idleMs: 60_000,
      bytesPerToken: 1,
      outputMax: 1_000,
      told: () => undefined,
      ...more,
    });
  }

  /** Runs a meter until it has made so many asks, or has nothing more to do. */
  async run(
    asksMax: number,
    work: (till: Till, lost: readonly Lost[], line: Line) => Promise<unknown>,
  ): Promise<Line> {
    const { underWay, lost } = UnderWay.open(this.folder);
    const line = new Line(this, asksMax);
    // Who is dead writes nothing.
    const whileAlive = <Method extends 'begin' | 'charged' | 'end'>(name: Method) =>
      function written(...told: Parameters<UnderWay[Method]>): void {
        if (!line.isKilled) (underWay[name] as (...all: unknown[]) => void)(...told);
      };
    const file = { begin: whileAlive('begin'), charged: whileAlive('charged'), end: whileAlive('end') };
    const till = this.till({ underWay: file as unknown as UnderWay, callsAhead: 1 }, line);
    await Promise.race([work(till, lost, line), line.killed]);
    if (!line.isKilled) await till[Symbol.asyncDispose]();
    this.kill(underWay);
    if (line.isKilled) {
      line.bury();
      await till[Symbol.asyncDispose]();
    }
    return line;
  }

  /** As if the process that has it open were no more. */
  kill(underWay: UnderWay): void {
    underWay[Symbol.dispose]();
    for (const name of readdirSync(this.folder)) {
      const other = name.replace(/^\d+/, String(DEAD_PID));
      renameSync(join(this.folder, name), join(this.folder, other));
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

test('a token of one session names only tasks that it has', async (t) => {
  using stand = new Stand();
  const asked: string[] = [];
  const client = {
    ask: async (to: string) => {
      asked.push(to);
      if (to === 'task/none') throw new FabricError(taskErrors.unknown_task, 'nobody added it');
      return { reply: { worker: to === 'task/its' ? 'session/a' : 'session/b', helpers: [] } };
    },
  } as unknown as Client;
  const till = stand.till({ holders: new Holders(client) });
  const isHeld = async (task: string, isBound: boolean): Promise<boolean> =>
    (await till.hold({ ...callOf(task), payer: { ...PAYER, task, isBound } })).ok;
  t.true(await isHeld('its', true));
  t.true(await isHeld('its', true));
  t.false(await isHeld('other', true));
  t.false(await isHeld('none', true));
  t.deepEqual(asked, ['task/its', 'task/other', 'task/none']);
  t.true(await isHeld('other', false), 'who may speak for any session may speak of any task');
  await till[Symbol.asyncDispose]();
});

test('calls of a meter that was killed are charged by the next one, once', async (t) => {
  using stand = new Stand();
  const { underWay, lost } = UnderWay.open(stand.folder);
  t.deepEqual(lost, []);
  const line = new Line(stand, Number.POSITIVE_INFINITY);
  const till = stand.till({ underWay }, line);
  for (const id of ['c1', 'c2', 'c3']) {
    const holding = await till.hold(callOf(id));
    if (!holding.ok) return t.fail();
    if (id === 'c2') till.giveBack(holding.held);
  }
  // While its process lives nobody takes it over.
  const beside = UnderWay.open(stand.folder);
  t.deepEqual(beside.lost, []);
  beside.underWay[Symbol.dispose]();
  stand.kill(underWay);

  const next = UnderWay.open(stand.folder);
  t.deepEqual(next.lost.map(({ call }) => call.id).sort(), ['c1', 'c3']);
  const nextTill = stand.till({ underWay: next.underWay });
  stand.isAway = true;
  nextTill.chargeLost(next.lost);
  await nextTill[Symbol.asyncDispose]();
  t.is(stand.account?.total.micros, 0);
  stand.kill(next.underWay);

  // Nothing could be charged: it is left once more.
  const last = UnderWay.open(stand.folder);
  const lastTill = stand.till({ underWay: last.underWay });
  stand.isAway = false;
  lastTill.chargeLost(last.lost);
  await lastTill[Symbol.asyncDispose]();
  t.like(stand.account, { total: { micros: 1_400, tokens: 300 }, over: { micros: 0, tokens: 0 } });
  t.deepEqual([...stand.recorded.keys()].sort(), ['c1', 'c3']);
  t.like(stand.recorded.get('c1'), {
    counted: 'estimated',
    outcome: 'failed',
    session: 'a',
    tokens: { input: 100, output: 50 },
  });
  last.underWay[Symbol.dispose]();
  t.deepEqual(readdirSync(stand.folder), []);
});

test('wherever a meter is killed, and the next one too: each call is charged once, to the micro-unit', async (t) => {
  const tokens = { input: 40, cachedInput: 0, cacheWrite: 0, cacheWriteLong: 0, output: 20 };
  for (let first = 1; first <= 9; first += 1) {
    for (let second = 1; second <= 5; second += 1) {
      using stand = new Stand();
      /** What each call costs that was forwarded, as far as its meter lived to know. */
      const costs = new Map<string, number>();
      const line = await stand.run(first, async (till, _, own) => {
        const held = async (id: string): Promise<Held> => {
          const holding = await till.hold(callOf(id));
          if (!holding.ok) throw new Error(holding.refusal.message);
          if (!own.isKilled) costs.set(id, 700);
          return holding.held;
        };
        const charge = (one: Held): void => {
          if (!own.isKilled) costs.set(one.call.id, 280);
          till.charge(one, { tokens, counted: 'provider', outcome: 'complete' });
        };
        const c1 = await held('c1');
        await held('c2');
        charge(c1);
        const c3 = await held('c3');
        if (!own.isKilled) costs.delete('c3');
        till.giveBack(c3);
        charge(await held('c4'));
        // c2 is under way for as long as the meter lives.
        await new Promise(setImmediate);
      });
      await stand.run(second, async (till, lost) => till.chargeLost(lost));
      await stand.run(Number.POSITIVE_INFINITY, async (till, lost) => till.chargeLost(lost));
      // It was on its way when its meter died.
      for (const event of line.late) stand.hear(event);
      const where = `killed at ask ${first}, then ${second}; ${JSON.stringify([...costs])}`;
      const sum = [...costs.values()].reduce((all, cost) => all + cost, 0);
      t.is(stand.account?.total.micros, sum, where);
      t.is(stand.account?.over.micros, 0, where);
      if (costs.has('c2')) t.is(stand.account?.reserved.micros, 0, where);
      t.deepEqual([...stand.recorded.keys()].sort(), [...costs.keys()].sort(), where);
      if (costs.get('c1') === 280) t.like(stand.recorded.get('c1'), { tokens, counted: 'provider' }, where);
      t.deepEqual(readdirSync(stand.folder), [], where);
    }
  }
});
