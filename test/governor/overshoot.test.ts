/** A budget that three nodes reserve from at once while they are killed: the log itself is the witness. */
import test from 'ava';
import { type Budgets, openBudgets } from '#actors/governor/budgets';
import { initialLedger, type LedgerContext } from '#machines/ledger/context';
import { decideLedger } from '#machines/ledger/decide';
import { rowsOf } from '#machines/ledger/table';
import { Subjects } from '#runtime/bus/subjects';
import { seededRandom } from '#runtime/testing/testing';
import type { Commit } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { chainViolations } from '../rig/chain.ts';
import { TestServer } from '../rig/nats.ts';
import { TestRealm } from '../rig/realm.ts';

const SHARDS = 3;
const CONFIG = {
  shards: SHARDS,
  limits: { leaseTtl: '1s', shardStay: 0 },
  kinds: Object.fromEntries(
    ['ledger', 'budget'].map((kind) => [kind, { machine: kind, spawnOnMessage: true, door: 'open' }]),
  ),
};
const LEDGER = 'ledger/main';
const WORKERS = 1_000;
const LEAVES = 8;
const LIMIT = 600_000;
const LEAF_LIMIT = 90_000;
/** What a worker may ask for, millionths: together about twice the limit. */
const ASKED_MAX = 2_400;

/** What a worker saw, as it would write it down. */
interface Seen {
  committed: number;
  refused: number;
  held: number;
}

test('1,000 reservations from three nodes that are killed meanwhile: never above the limit in any commit of the log, and exact to the millionth', async (t) => {
  t.timeout(300_000);
  await using server = await TestServer.start();
  const start = (name: string) => TestRealm.start({ config: { ...CONFIG, node: { name } }, server });
  await using stack = new AsyncDisposableStack();
  const nodes = await Promise.all(['one', 'two', 'three'].map(async (name) => stack.use(await start(name))));
  const [first] = nodes;
  if (first === undefined) throw new Error('no node');
  const operator = await first.client({ from: 'operator/ann' });
  const books = openBudgets(operator);
  await books.set('realm', { currency: 'EUR', limit: { micros: LIMIT } });
  const leaves = Array.from({ length: LEAVES }, (_, n) => `session:w${n}`);
  await books.set('swarm:a', { parent: 'realm' });
  for (const leaf of leaves) await books.set(leaf, { parent: 'swarm:a', limit: { micros: LEAF_LIMIT } });

  const budgets = await Promise.all(
    nodes.map(async (node, n) => openBudgets(await node.client({ from: `session/n${n}` }))),
  );
  const seen: Seen = { committed: 0, refused: 0, held: 0 };
  const shard = new Subjects('if', SHARDS).shardOf(LEDGER);
  /** Kills whoever keeps the books now, and starts it again. */
  const crash = async (): Promise<void> => {
    for (;;) {
      const statuses = await first.status(operator);
      const { pid } = statuses.find(({ shards }) => shards.some((one) => one.shard === shard)) ?? {};
      const owner = nodes.find((node) => node.pid === pid);
      if (owner === undefined) continue;
      await owner.kill();
      await owner.up();
      return;
    }
  };
  let heard = 0;
  const milestones = [200, 900, 1_200];
  let crashes = 0;
  let crashing = Promise.resolve();
  const told = (): void => {
    heard += 1;
    if (heard !== milestones[crashes]) return;
    crashes += 1;
    crashing = crashing.then(crash);
  };
  const random = seededRandom(7);
  // All at once; each answer counts towards the next crash.
  await Promise.all(
    Array.from({ length: WORKERS }, async (_, n) => {
      const asked = 1 + Math.floor(random.next() * ASKED_MAX);
      const [fate, share] = [random.next(), random.next()];
      const mine = budgets[n % budgets.length] as Budgets;
      await worker(mine, leaves[n % LEAVES] ?? '', { id: `r${n}`, asked, fate, share }, seen, told);
    }),
  );
  await crashing;
  // So that whoever keeps the books after the last crash has written in them.
  await stubbornly(() => books.set('session:late', { parent: 'swarm:a' }));
  t.is(crashes, milestones.length);

  let folded = initialLedger(undefined, LEDGER);
  let steps = 0;
  let refusals = 0;
  const epochs = new Set<number>();
  const overshoots: string[] = [];
  const violations = await chainViolations(operator.connection, (commit) => {
    for (const entry of ledgerEntries(commit)) {
      epochs.add(commit.epoch);
      const from = 'from' in entry.cause ? entry.cause.from : undefined;
      const { patch, reply } = decideLedger(folded, {
        event: entry.event as { type: string },
        self: LEDGER,
        at: commit.at,
        from,
      });
      folded = { ...folded, ...patch };
      steps += 1;
      if ((reply as { accepted?: boolean } | undefined)?.accepted === false) refusals += 1;
      overshoots.push(...overshootsOf(folded));
    }
  });
  t.deepEqual(violations, []);
  t.deepEqual(overshoots, []);
  t.true(epochs.size > 1, 'the books were kept by more than one node');
  t.true(refusals >= seen.refused && seen.refused > 0);
  const now = await stubbornly(() => books.account('realm'));
  const top = rowsOf(folded.accounts).find(({ id }) => id === 'realm');
  t.deepEqual(now?.account.spent, top?.spent, 'the fold gives the books as they are');
  t.is(now?.account.total.micros, seen.committed, 'exact: what workers spent is what stands in the books');
  t.is(now?.account.reserved.micros, seen.held);
  const parts = (await stubbornly(() => books.accounts())).filter(({ account }) => leaves.includes(account));
  t.is(
    parts.reduce((sum, { total }) => sum + total.micros, 0),
    seen.committed,
  );
  t.log(
    `${steps} steps, ${epochs.size} epochs of the ledger’s shard, ${seen.refused} workers refused, ${seen.committed} of ${LIMIT} spent, ${seen.held} held`,
  );
});

interface Errand {
  readonly id: string;
  readonly asked: number;
  /** What becomes of it, and how much of what was asked it takes. */
  readonly fate: number;
  readonly share: number;
}

/** Reserves, and then spends all or a part, gives back, or forgets. */
async function worker(
  budgets: Budgets,
  account: string,
  { id, asked, fate, share }: Errand,
  seen: Seen,
  told: () => void,
): Promise<void> {
  const held = await stubbornly(() =>
    budgets.reserve(account, { micros: asked }, { id, leaseMs: 3_600_000 }),
  );
  told();
  if (!held.granted) {
    seen.refused += 1;
  } else if (fate < 0.1) {
    seen.held += asked;
  } else if (fate < 0.3) {
    await stubbornly(() => budgets.refund(id));
    told();
  } else {
    const spent = Math.floor(asked * share);
    await stubbornly(() => budgets.commit(id, { micros: spent }));
    told();
    // A second time, as after a lost answer.
    if (fate > 0.8) await stubbornly(() => budgets.commit(id, { micros: spent }));
    seen.committed += spent;
  }
}

/** Asks again under the same reservation for as long as nobody knows what became of it. */
async function stubbornly<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (thrown) {
      if (!(thrown instanceof FabricError) || !thrown.retryable) throw thrown;
    }
  }
}

function* ledgerEntries(commit: Commit) {
  for (const entry of commit.entries)
    if (entry.actor === LEDGER && entry.op === undefined && entry.event !== undefined) yield entry;
}

function overshootsOf({ accounts }: LedgerContext): string[] {
  return rowsOf(accounts).flatMap(({ id, limit, extra, spent, reserved }) => {
    const bound = limit.micros === null ? Number.POSITIVE_INFINITY : limit.micros + extra.micros;
    const used = spent.micros + reserved.micros;
    return used > bound ? [`${id}: ${used} of ${bound}`] : [];
  });
}
