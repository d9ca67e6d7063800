/**
 * The kernel against a model of a few lines: whatever is sent, asked, posted, delayed, lost, crashed and restarted, every
 * accepted message is done once and in order (P1, P5), and all ways back to a state give the same state.
 */
import test from 'ava';
import fc from 'fast-check';
import { encode, sha256 } from '#runtime/bus/codec';
import type { CrashPoint } from '#runtime/shard/shard';
import { type Fate, seededRandom, type TestRealm, testRealm } from '#runtime/testing/testing';
import { cases } from '../rig/effort.ts';
import { worker } from '../rig/kernel-machines.ts';

const ACTORS = 6;
const POINTS: CrashPoint[] = ['before_commit', 'after_commit', 'before_reply', 'before_mail', 'after_mail'];

type Step =
  | { readonly do: 'ask' | 'send'; readonly to: number }
  | { readonly do: 'post'; readonly from: number; readonly to: number; readonly delay: number | undefined }
  | { readonly do: 'crash'; readonly point: CrashPoint | undefined; readonly skip: number }
  | { readonly do: 'advance'; readonly ms: number };

const actor = fc.nat(ACTORS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('ask' as const, 'send' as const), to: actor }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('post' as const),
      from: actor,
      to: actor,
      delay: fc.option(fc.constantFrom(1, 50, 50, 2_000), { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      point: fc.option(fc.constantFrom(...POINTS), { nil: undefined }),
      skip: fc.nat(4),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(10, 100, 3_000) }),
  },
);

const scenario = fc.record({
  steps: fc.array(step, { minLength: 10, maxLength: 60 }),
  shards: fc.constantFrom(1, 2, 3),
  snapshotEveryEntries: fc.constantFrom(3, 10, 1_000_000),
  residentMax: fc.constantFrom(1, 1_000),
  /** Share of writes that go wrong. */
  trouble: fc.constantFrom(0, 0.1, 0.3),
  seed: fc.nat(1_000_000),
});

/** What each actor must have heard from each sender, in order; a delayed post is in no order with others. */
class Model {
  readonly #lanes = new Map<string, number[]>();

  expect(to: string, lane: string, n: number): void {
    const key = `${to} ${lane}`;
    this.#lanes.set(key, [...(this.#lanes.get(key) ?? []), n]);
  }

  check(
    t: { deepEqual(a: unknown, b: unknown): boolean },
    heard: ReadonlyMap<string, readonly string[]>,
  ): void {
    const lanes = new Map<string, number[]>();
    for (const [to, notes] of heard) {
      for (const note of notes) {
        const [lane = '', n = ''] = note.split('#');
        const key = `${to} ${lane}`;
        lanes.set(key, [...(lanes.get(key) ?? []), Number(n)]);
      }
    }
    const sorted = (map: Map<string, number[]>): unknown => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    t.deepEqual(sorted(lanes), sorted(this.#lanes));
  }
}

const name = (n: number): string => `worker/m${n}`;

async function digests(realm: TestRealm): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (let n = 0; n < ACTORS; n++) {
    const cell = await realm.cell(name(n));
    if (cell === undefined) continue;
    const state = encode([cell.machine.ref, cell.machine.persist(cell.state)]);
    found[name(n)] = Buffer.from(sha256(state)).toString('hex');
  }
  return found;
}

test('random works, failures and crashes: each message is done once and in order, and every recovery gives the same states', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      scenario,
      async ({ steps, shards, snapshotEveryEntries, residentMax, trouble, seed }) => {
        const random = seededRandom(seed);
        await using realm = await testRealm({
          machines: { worker },
          shards,
          seed,
          limits: { snapshotEveryEntries, residentMax, passivateAfterMs: 10 },
        });
        const fates: Fate[] = ['lost', 'unacked', 'refused', 'twice'];
        realm.bus.fate = () =>
          random.next() < trouble ? (fates[Math.floor(random.next() * fates.length)] ?? 'ok') : 'ok';
        realm.bus.delayMs = () => (random.next() < trouble ? Math.floor(random.next() * 40) : 0);
        const model = new Model();
        /** As a client does: again under the same id until it is answered. */
        const ask = async (to: string, event: object, id: string): Promise<void> => {
          for (let tries = 0; tries < 200; tries++) {
            if (realm.isCrashed) await restart();
            let isDone = false;
            const asking = realm.ask(to, event, { id, from: 'client' }).then(
              () => {
                isDone = true;
              },
              () => undefined,
            );
            for (let waits = 0; waits < 100; waits++) {
              await realm.advance(100);
              if (isDone || realm.isCrashed) break;
              if (waits % 10 === 9 && (await Promise.race([asking.then(() => true), realm.idle()])) === true)
                break;
            }
            if (isDone) return;
          }
          throw new Error(`${id} was never answered`);
        };
        const restart = async (): Promise<void> => {
          realm.bus.fate = () => 'ok';
          realm.bus.delayMs = () => 0;
          await realm.restart();
          realm.bus.fate = () =>
            random.next() < trouble ? (fates[Math.floor(random.next() * fates.length)] ?? 'ok') : 'ok';
          realm.bus.delayMs = () => (random.next() < trouble ? Math.floor(random.next() * 40) : 0);
        };
        for (const [n, each] of steps.entries()) {
          switch (each.do) {
            case 'ask':
              await ask(name(each.to), { type: 'note', n: `ask#${n}` }, `m${n}`);
              model.expect(name(each.to), 'ask', n);
              break;
            case 'send':
              realm.send(name(each.to), { type: 'note', n: `send#${n}` }, { id: `m${n}`, from: 'client' });
              if (random.next() < 0.3) {
                realm.send(name(each.to), { type: 'note', n: `send#${n}` }, { id: `m${n}`, from: 'client' });
              }
              model.expect(name(each.to), 'send', n);
              break;
            case 'post': {
              const lane = each.delay === undefined ? `from${each.from}` : `late${n}`;
              const event = { type: 'note', n: `${lane}#${n}` };
              const delay = each.delay !== undefined && { delay: each.delay };
              await ask(name(each.from), { type: 'post', to: name(each.to), event, ...delay }, `m${n}`);
              model.expect(name(each.to), lane, n);
              break;
            }
            case 'crash':
              if (realm.isCrashed) await restart();
              else if (each.point === undefined) realm.crash();
              else realm.crash(each.point, { skip: each.skip });
              break;
            case 'advance':
              await realm.advance(each.ms);
              break;
          }
        }
        // A planned crash that has not come yet shall not come in the end.
        if (!realm.isCrashed) realm.crash();
        await restart();
        realm.bus.fate = () => 'ok';
        realm.bus.delayMs = () => 0;
        await realm.advance('5m');

        const heard = new Map<string, readonly string[]>();
        for (let n = 0; n < ACTORS; n++) {
          const cell = await realm.cell(name(n));
          if (cell !== undefined) heard.set(name(n), (cell.state.context as { seen: string[] }).seen);
        }
        model.check(t, heard);
        t.deepEqual(realm.dead(), []);
        const live = await digests(realm);
        realm.crash();
        await realm.restart();
        t.deepEqual(await digests(realm), live);
        realm.crash();
        realm.bus.blobs.clear();
        await realm.restart();
        t.deepEqual(await digests(realm), live);
      },
    ),
    {
      numRuns: Number(process.env['FUZZ_RUNS'] ?? cases(150, 40)),
      ...(process.env['FUZZ_SEED'] !== undefined && { seed: Number(process.env['FUZZ_SEED']) }),
    },
  );
});
