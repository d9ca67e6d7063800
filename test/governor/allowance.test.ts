import test from 'ava';
import fc from 'fast-check';
import { Allowances } from '#actors/governor/allowance/allowances';
import { openBudgets } from '#actors/governor/budgets';
import { type Account, initialLedger, type LedgerContext } from '#machines/ledger/context';
import { decideLedger } from '#machines/ledger/decide';
import { rowsOf } from '#machines/ledger/table';
import type { Client } from '#runtime/client/client';
import { seededRandom } from '#runtime/testing/testing';
import type { Amounts } from '#schemas/budget';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import { cases } from '../rig/effort.ts';

const METER = 'meter/main';
const errors = errorKinds({ ask_timeout: { retryable: true, help: 'Ask again.' } });
const LEASE_MS = 60_000;

type Way = 'there and back' | 'lost on the way' | 'answer lost' | 'late, behind others';

/** A ledger at the other end of a bad line. */
class Line {
  context: LedgerContext = initialLedger(undefined, 'ledger/main');
  at = 1_000_000;
  asks: string[] = [];
  way: () => Way = () => 'there and back';
  heard: () => void = () => undefined;
  refuses: (event: { readonly type: string; readonly hold?: unknown }) => void = () => undefined;
  readonly #pause: () => Promise<void>;
  readonly #late: Promise<void>[] = [];

  constructor(pause: () => Promise<void> = async () => undefined) {
    this.#pause = pause;
  }

  hear(event: { readonly type: string }, from = METER): object | undefined {
    const { patch, reply } = decideLedger(this.context, { event, self: 'ledger/main', at: this.at, from });
    this.context = { ...this.context, ...patch };
    this.heard();
    return reply;
  }

  account(id: string): Account {
    const found = rowsOf(this.context.accounts).find((row) => row.id === id);
    if (found === undefined) throw new Error(`there is no ${id}`);
    return found;
  }

  open(limit: number, ...below: string[]): void {
    const opens = (account: string, more: object) =>
      this.hear({ type: 'ledger.set', account, ...more } as never, 'operator/ann');
    opens('realm', { currency: 'EUR', limit: { micros: limit } });
    for (const account of below) opens(account, { parent: 'realm' });
  }

  allowances(ahead: number, idleMs = 1e9) {
    const client = { clientId: 'c', ask: (_: string, event: { type: string }) => this.#ask(event) };
    const settling: Promise<void>[] = [];
    const settle = (_id: string, work: () => Promise<void>) => void settling.push(stubbornly(work));
    const budgets = openBudgets(client as unknown as Client);
    const allowances = new Allowances(budgets, { leaseMs: LEASE_MS, ahead, idleMs, settle });
    return { allowances, settling, settle };
  }

  async arrived(): Promise<void> {
    await Promise.all(this.#late);
  }

  async #ask(event: { readonly type: string }): Promise<{ readonly reply: unknown }> {
    this.asks.push(event.type);
    const way = this.way();
    await this.#pause();
    if (way === 'lost on the way') throw new FabricError(errors.ask_timeout, 'lost');
    if (way === 'late, behind others') {
      const slow = async () => {
        for (let n = 0; n < 5; n += 1) await this.#pause();
        this.hear(event);
      };
      this.#late.push(slow());
      throw new FabricError(errors.ask_timeout, 'late');
    }
    this.refuses(event);
    const reply = this.hear(event);
    await this.#pause();
    if (way === 'answer lost') throw new FabricError(errors.ask_timeout, 'answer lost');
    return { reply };
  }
}

async function stubbornly(work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof FabricError) || !thrown.retryable) throw thrown;
    }
  }
}

const micros = (n: number): Amounts => ({ micros: n, tokens: n });

test('over a line that loses and delays, with others that reserve: nothing is taken that is not held, and every sum is exact', async (t) => {
  const accounts = ['a', 'b'];
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.nat(3),
      fc.integer({ min: 300, max: 20_000 }),
      async (seed, ahead, limit) => {
        const random = seededRandom(seed);
        const line = new Line(async () => {
          for (let n = Math.floor(random.next() * 4); n > 0; n -= 1) await new Promise(setImmediate);
        });
        line.open(limit, ...accounts);
        line.way = () => {
          const chance = random.next();
          if (chance > 0.15) return 'there and back';
          return chance < 0.05 ? 'lost on the way' : chance < 0.1 ? 'answer lost' : 'late, behind others';
        };
        const { allowances, settling, settle } = line.allowances(ahead);
        const used = new Map(accounts.map((account) => [account, { underWay: 0, spent: 0 }]));
        line.heard = () => {
          for (const [account, { underWay, spent }] of used) {
            const { reserved, total, over } = line.account(account);
            t.true(underWay + spent <= reserved.micros + total.micros, `L1: ${account}`);
            t.is(over.micros, 0);
          }
          const { spent, reserved } = line.account('realm');
          t.true(spent.micros + reserved.micros <= limit, 'B1');
        };
        const work = async (n: number) => {
          for (let rest = Math.floor(random.next() * 8); rest > 0; rest -= 1) await new Promise(setImmediate);
          const account = accounts[n % 2] ?? '';
          const mine = used.get(account) ?? { underWay: 0, spent: 0 };
          const bound = 1 + Math.floor(random.next() * 100);
          const taken = await allowances.take(account, micros(bound)).catch(() => undefined);
          if (taken?.granted !== true) return;
          mine.underWay += bound;
          line.heard();
          for (let rest = Math.floor(random.next() * 6); rest > 0; rest -= 1) await new Promise(setImmediate);
          const spent = Math.floor(random.next() * (bound + 1));
          mine.underWay -= bound;
          mine.spent += spent;
          settle('', taken.end(micros(spent)).told);
        };
        await Promise.all(Array.from({ length: 40 }, (_, n) => work(n)));
        while (settling.length > 0) await settling.shift();
        allowances.close();
        while (settling.length > 0) await settling.shift();
        await line.arrived();
        for (const [account, { spent }] of used) t.is(line.account(account).total.micros, spent);
      },
    ),
    { numRuns: cases(60, 20) },
  );
});

test('who finds enough held ahead asks nobody; what has ended is told in one draw', async (t) => {
  const line = new Line();
  line.open(1_000_000, 'a');
  const { allowances, settling } = line.allowances(2);
  const first = await allowances.take('a', micros(100));
  while (settling.length > 0) await settling.shift();
  t.deepEqual(line.asks.slice(-2), ['ledger.reserve', 'ledger.draw']);
  t.is(line.account('realm').reserved.micros, 300);
  const asks = line.asks.length;
  const [second, third] = await Promise.all([
    allowances.take('a', micros(100)),
    allowances.take('a', micros(99)),
  ]);
  t.is(line.asks.length, asks, 'nobody was asked');
  const told = [first, second, third].map((one) => {
    if (one?.granted !== true) throw new Error('refused');
    return one.end(micros(10)).told();
  });
  await Promise.all(told);
  t.true(line.asks.length - asks <= 2, line.asks.join());
  t.like(line.account('a'), { total: { micros: 30 }, reserved: { micros: 198 } });
  allowances.close();
  await Promise.all(settling);
  t.like(line.account('a'), { total: { micros: 30 }, reserved: { micros: 0 } });
});

test('where not all find room the first that do are served, and what a neighbour holds ahead makes room', async (t) => {
  const line = new Line();
  line.open(10_000, 'a', 'b');
  const { allowances, settling } = line.allowances(3);
  const neighbour = await allowances.take('b', micros(100));
  await Promise.all(settling);
  t.true(line.account('b').reserved.micros > 300, 'held ahead');
  const wishes = [3_000, 4_000, 2_950, 2_950, 60, 1];
  const answers = await Promise.all(wishes.map((wish) => allowances.take('a', micros(wish))));
  t.deepEqual(
    answers.map(({ granted }) => granted),
    [true, true, false, false, true, true],
  );
  const [, , denied] = answers;
  t.true(denied?.granted === false && denied.error.code === 'budget_exhausted');
  t.is(line.account('b').reserved.micros, 100);
  t.true(neighbour.granted);
  allowances.close();
  await Promise.all(settling);
});

test('an allowance of which the lease ran out takes nothing more, and what it spent counts all the same', async (t) => {
  const line = new Line();
  line.open(10_000, 'a');
  const { allowances, settling } = line.allowances(2);
  const one = await allowances.take('a', micros(100));
  await Promise.all(settling);
  const now = Date.now;
  t.teardown(() => {
    Date.now = now;
  });
  // The machine slept.
  Date.now = () => now() + LEASE_MS;
  line.at += LEASE_MS + 1;
  line.hear({ type: 'xstate.timer.lease' }, '');
  t.is(line.account('a').reserved.micros, 0);
  const other = await allowances.take('a', micros(50));
  t.true(other.granted);
  if (!one.granted || !other.granted) return t.fail();
  await one.end(micros(70)).told();
  await other.end(micros(20)).told();
  t.is(line.account('a').total.micros, 90);
  allowances.close();
  await Promise.all(settling);
  t.is(line.account('a').reserved.micros, 0);
});

test('where the ledger has forgotten an allowance work goes on under another, and what was spent is not passed over in silence', async (t) => {
  const line = new Line();
  line.open(10_000, 'a');
  const { allowances, settling } = line.allowances(2);
  const one = await allowances.take('a', micros(100));
  await Promise.all(settling);
  line.context = initialLedger(undefined, 'ledger/main');
  line.open(10_000, 'a');
  const other = await allowances.take('a', micros(5_000));
  if (!one.granted || !other.granted) return t.fail();
  await t.throwsAsync(one.end(micros(70)).told, { code: 'unknown_reservation' });
  await other.end(micros(20)).told();
  t.like(line.account('a'), { total: { micros: 20 } });
  allowances.close();
  await Promise.all(settling);
});

test('what is held ahead returns when no work comes', async (t) => {
  const line = new Line();
  line.open(10_000, 'a');
  const { allowances, settling } = line.allowances(2, 20);
  const one = await allowances.take('a', micros(100));
  if (!one.granted) return t.fail();
  await one.end(micros(70)).told();
  const given = new Promise<void>((resolve) => {
    line.heard = () => line.account('a').reserved.micros === 0 && resolve();
  });
  await given;
  await Promise.all(settling);
  t.like(line.account('a'), { spent: { micros: 70 }, reserved: { micros: 0 } });
});

test('where more may not be held, what was spent is told all the same', async (t) => {
  const line = new Line();
  line.open(10_000, 'a');
  const denied = errorKinds({ policy_denied: { retryable: false, help: 'Ask for less.' } }).policy_denied;
  line.refuses = ({ type, hold }) => {
    if (type === 'ledger.draw' && (hold as Amounts).micros > 250) throw new FabricError(denied, 'too dear');
  };
  const { allowances, settling, settle } = line.allowances(0);
  const first = await allowances.take('a', micros(100));
  const second = await allowances.take('a', micros(100));
  if (!first.granted || !second.granted) return t.fail();
  await t.throwsAsync(allowances.take('a', micros(100)), { code: 'policy_denied' });
  // Its end and the next one wait for the same draw.
  settle('', first.end(micros(60)).told);
  await t.throwsAsync(allowances.take('a', micros(200)), { code: 'policy_denied' });
  while (settling.length > 0) await settling.shift();
  t.like(line.account('a'), { total: { micros: 60 }, reserved: { micros: 100 } });
  const third = await allowances.take('a', micros(100));
  t.true(third.granted, 'the same allowance goes on');
  t.is(line.asks.filter((type) => type === 'ledger.reserve').length, 1);
  settle('', second.end(micros(100)).told);
  if (third.granted) settle('', third.end(micros(1)).told);
  while (settling.length > 0) await settling.shift();
  allowances.close();
  while (settling.length > 0) await settling.shift();
  t.like(line.account('a'), { total: { micros: 161 }, reserved: { micros: 0 } });
});
