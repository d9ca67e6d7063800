import test from 'ava';
import fc from 'fast-check';
import { decode } from '#runtime/bus/codec';
import { Needs } from '#runtime/shard/needs';
import { testRealm } from '#runtime/testing/testing';
import type { Commit } from '#schemas/commit';
import { worker } from '../rig/kernel-machines.ts';

function commit(...machines: string[]): Commit {
  return { entries: machines.map((machine) => ({ machine, op: 'event' })) } as unknown as Commit;
}

test('V1: a version is needed until a snapshot without it is stored, and no commit after that names it', (t) => {
  const needs = new Needs();
  needs.begin(['a@1']);
  t.deepEqual(needs.takeChanged(), ['a@1']);
  t.is(needs.takeChanged(), undefined);
  needs.saw(commit('a@2', 'a@2', 'b@1'));
  t.deepEqual(needs.takeChanged(), ['a@1', 'a@2', 'b@1']);
  needs.saw(commit('b@1'));
  t.is(needs.takeChanged(), undefined);
  // All are on a@2 when it is taken; b@1 is stepped while it is written.
  needs.captured(['a@2']);
  needs.saw(commit('b@1'));
  t.deepEqual(needs.versions, ['a@1', 'a@2', 'b@1'], 'it is not stored yet');
  needs.stored();
  t.deepEqual(needs.takeChanged(), ['a@2', 'b@1']);
  needs.captured(['a@2']);
  needs.captured(['a@2', 'c@1']);
  needs.stored();
  t.deepEqual(needs.versions, ['a@2', 'c@1'], 'of two of which the first failed the second counts');
});

test('a snapshot names the versions its actors are on, whatever came, went, slept and changed', async (t) => {
  const orders = fc.array(
    fc.record({
      actor: fc.integer({ min: 0, max: 5 }),
      what: fc.constantFrom('note', 'spawn', 'unspawn', 'halt', 'crash', 'wait'),
    }),
    { minLength: 10, maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(orders, async (list) => {
      const limits = { snapshotEveryEntries: 3, passivateAfterMs: 100, residentMax: 2 };
      await using realm = await testRealm({ machines: { worker }, shards: 1, limits });
      for (const { actor, what } of list) {
        const at = `worker/w${actor}`;
        if (what === 'crash') {
          realm.crash();
          await realm.restart();
        } else if (what === 'wait') await realm.advance('1s');
        else if (what === 'halt') await realm.ask('worker/boss', { type: 'halt', child: { to: at } });
        else await realm.ask(at, { type: what, id: 'kid', n: 1 });
        await realm.idle();
      }
      const tables = [...realm.bus.blobs].filter(([name]) => name.startsWith('snapshot/0/tables-')).at(-1);
      if (tables === undefined) return;
      const { index, versions } = decode(tables[1]) as { index: number; versions: [string, number][] };
      // Everything after the snapshot is undone by looking only at realms whose last commit it is.
      if (index !== realm.log().at(-1)?.index) return;
      const counted = new Map<string, number>();
      for (const address of new Set(realm.log().map(({ actor }) => actor))) {
        const cell = await realm.cell(address);
        if (cell !== undefined) counted.set(cell.machine.ref, (counted.get(cell.machine.ref) ?? 0) + 1);
      }
      // What came of the last order while we counted is in no snapshot yet.
      if (index !== realm.log().at(-1)?.index) return;
      t.deepEqual(new Map(versions), counted);
    }),
    { numRuns: 60 },
  );
  t.pass();
});
