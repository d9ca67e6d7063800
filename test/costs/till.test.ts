/** The till without a realm: what the next meter does for one that was killed. */
import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { CostsClient, Usage } from '#actors/costs/client';
import { Holders } from '#actors/costs/meter/holders';
import { type Call, Till, type TillParts } from '#actors/costs/meter/till';
import { UnderWay } from '#actors/costs/meter/under-way';
import type { PriceList } from '#actors/costs/price-list';
import type { Budgets } from '#actors/governor/budgets';
import { governorErrors } from '#actors/governor/errors';
import { taskErrors } from '#machines/task/errors';
import type { Client } from '#runtime/client/client';
import type { Amounts } from '#schemas/budget';
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

/** A realm that says yes to everything, and what it was asked. */
class Stand {
  readonly folder = mkdtempSync(join(tmpdir(), 'till-'));
  readonly recorded: Usage[] = [];
  readonly committed: (readonly [id: string, amount: Amounts])[] = [];
  isAway = false;
  readonly budgets = {
    account: async () => ({ account: { currency: 'USD' }, above: [] }),
    reserve: async (_: string, amount: Amounts) => ({
      granted: true,
      degrade: null,
      reservation: { amount },
    }),
    draw: async (_: string, { spent, hold }: { readonly spent: Amounts; readonly hold: Amounts }) => ({
      spent,
      hold,
      expiresAt: 1,
      degrade: null,
    }),
    commit: async (id: string, amount: Amounts) => {
      if (this.isAway && id.startsWith('lost.'))
        throw new FabricError({ ...governorErrors.bad_ledger, retryable: true }, 'away');
      // Beside what is held together for all calls of a meter.
      if (id.startsWith('lost.')) this.committed.push([id, amount]);
    },
    refund: async () => undefined,
  } as unknown as Budgets;

  till(more: Partial<TillParts> = {}): Till {
    const record = async (usage: Usage) => {
      this.recorded.push(usage);
      return { record: usage, known: false };
    };
    return new Till({
      costs: { record } as unknown as CostsClient,
      prices: { quote: async () => ({ found: true, row: ROW }) } as unknown as PriceList,
      budgets: this.budgets,
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
  const till = stand.till({ underWay });
  for (const id of ['c1', 'c2', 'c3']) {
    const holding = await till.hold(callOf(id));
    if (!holding.ok) return t.fail();
    if (id === 'c2') till.giveBack(holding.held);
  }
  await till[Symbol.asyncDispose]();
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
  t.deepEqual(stand.committed, []);
  stand.kill(next.underWay);

  // Nothing could be charged: it is left once more.
  const last = UnderWay.open(stand.folder);
  const lastTill = stand.till({ underWay: last.underWay });
  stand.isAway = false;
  lastTill.chargeLost(last.lost);
  await lastTill[Symbol.asyncDispose]();
  t.deepEqual(stand.committed.map(([id]) => id).sort(), ['lost.c1', 'lost.c3']);
  t.deepEqual(stand.committed[0]?.[1], { micros: 700, tokens: 150 });
  t.like(stand.recorded.at(-1), {
    counted: 'estimated',
    outcome: 'failed',
    session: 'a',
    tokens: { input: 100, output: 50 },
  });
  last.underWay[Symbol.dispose]();
  t.deepEqual(readdirSync(stand.folder), []);
});
