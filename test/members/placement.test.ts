import test from 'ava';
import fc from 'fast-check';
import { nextLife } from '#runtime/members/life';
import {
  type Candidate,
  type EffectCandidate,
  effectNode,
  livesThatCount,
  ranking,
  staysWith,
  whyNot,
} from '#runtime/members/placement';

const SHARDS = 64;
const NO_NEEDS: readonly string[] = [];

function node(name: string, over: Partial<Candidate> = {}): Candidate {
  return {
    id: `id-${name}`,
    name,
    state: 'up',
    capacity: 1,
    machines: ['m@1'],
    failed: {},
    startedAt: 1,
    ...over,
  };
}

function owners(members: readonly Candidate[], needs = NO_NEEDS): (string | undefined)[] {
  return Array.from({ length: SHARDS }, (_, shard) => ranking(members, shard, needs)[0]?.name);
}

const names = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/), { minLength: 1, maxLength: 8 });
const nodes = names.chain((list) =>
  fc.tuple(
    ...list.map((name) =>
      fc.double({ min: 0.1, max: 8, noNaN: true }).map((capacity) => node(name, { capacity })),
    ),
  ),
);

test('W1: every node comes to the same, in whatever order it heard of the others', (t) => {
  fc.assert(
    fc.property(nodes, fc.infiniteStream(fc.nat()), (members, picks) => {
      const shuffled = [...members]
        .map((m) => [picks.next().value ?? 0, m] as const)
        .sort((a, b) => a[0] - b[0]);
      return JSON.stringify(owners(members)) === JSON.stringify(owners(shuffled.map(([, m]) => m)));
    }),
  );
  t.pass();
});

test('W2: who joins only takes, and who leaves gives away only its own', (t) => {
  fc.assert(
    fc.property(nodes, fc.double({ min: 0.1, max: 8, noNaN: true }), (members, capacity) => {
      const before = owners(members);
      const after = owners([...members, node('JOINED', { capacity })]);
      return before.every((owner, shard) => after[shard] === owner || after[shard] === 'JOINED');
    }),
  );
  fc.assert(
    fc.property(nodes, fc.double({ min: 0.1, max: 1, noNaN: true }), (members, lower) => {
      const before = owners(members);
      const shrunk = members.map((m, n) => (n === 0 ? { ...m, capacity: m.capacity * lower } : m));
      const after = owners(shrunk);
      return before.every((owner, shard) => after[shard] === owner || owner === members[0]?.name);
    }),
  );
  t.pass();
});

test('shards spread by capacity: the share of a node is its share of all capacity, within chance', (t) => {
  const members = [1, 1, 2, 4].map((capacity, n) => node(`node-${n}`, { capacity }));
  const count = 8_000;
  const taken = new Map<string, number>();
  for (let shard = 0; shard < count; shard++) {
    const owner = ranking(members, shard, NO_NEEDS)[0]?.name ?? '';
    taken.set(owner, (taken.get(owner) ?? 0) + 1);
  }
  for (const { name, capacity } of members) {
    const expected = (count * capacity) / 8;
    // Five standard deviations.
    t.true(
      Math.abs((taken.get(name) ?? 0) - expected) < 5 * Math.sqrt(expected),
      `${name}: ${taken.get(name)}`,
    );
  }
});

test('W3: a node without a machine version, one that failed the shard and one that leaves are never chosen', (t) => {
  const fit = node('fit', { capacity: 0.001 });
  const members = [
    fit,
    node('old', { machines: ['m@0'], capacity: 100 }),
    node('broken', { failed: { 3: { code: 'diverged', message: 'it diverged' } }, capacity: 100 }),
    node('gone', { state: 'leaving', capacity: 100 }),
  ];
  t.deepEqual(ranking(members, 3, ['m@1']), [fit]);
  t.deepEqual(
    members.map((member) => whyNot(member, 3, ['m@1'])),
    [undefined, 'has no m@1', 'cannot run it: it diverged', 'is leaving'],
  );
});

test('W4: one that waits or drains is chosen only where no other can be, the one that drains last', (t) => {
  const members = [
    node('drained', { state: 'draining', capacity: 1_000 }),
    node('crashed', { state: 'waiting', capacity: 1_000 }),
    node('up', { capacity: 0.001 }),
  ];
  for (let shard = 0; shard < SHARDS; shard++) {
    t.deepEqual(
      ranking(members, shard, NO_NEEDS).map(({ name }) => name),
      ['up', 'crashed', 'drained'],
    );
  }
});

test('W4: where all nodes drain, or all wait, who has a shard keeps it', (t) => {
  const [one, two] = [node('one', { state: 'draining' }), node('two', { state: 'draining' })];
  t.true(staysWith(one, two));
  t.false(staysWith(one, node('two', { state: 'waiting' })));
  t.false(staysWith(one, node('two')));
  t.false(staysWith(node('one'), node('two')), 'nodes that are up share by their order');
  t.false(staysWith(undefined, two));
});

test('of two lives under one name the last counts', (t) => {
  const [first, last] = [node('a', { id: 'x', startedAt: 1 }), node('a', { id: 'y', startedAt: 2 })];
  t.deepEqual(
    livesThatCount([last, first, node('b')]).map(({ id }) => id),
    ['y', 'id-b'],
  );
});

test('a node that crashes again and again waits longer and longer; one crash, a clean stop or a long life cost nothing', (t) => {
  let last = { crashes: 0, isClean: false, startedAt: 0 };
  const waits: number[] = [];
  for (let crash = 0; crash < 9; crash++) {
    const { crashes, waitMs } = nextLife(last, last.startedAt + 1_000);
    waits.push(waitMs);
    last = { crashes, isClean: false, startedAt: last.startedAt + 1_000 };
  }
  t.deepEqual(waits.slice(0, 4), [0, 5_000, 10_000, 20_000]);
  t.is(waits.at(-1), 300_000);
  t.is(nextLife({ ...last, isClean: true }, last.startedAt + 1).waitMs, 0);
  t.is(nextLife(last, last.startedAt + 600_000).waitMs, 0);
  t.is(nextLife(undefined, 0).waitMs, 0);
});

test('effects of an actor go to one node that has every label, and stay there whoever else comes without being better', (t) => {
  const labelled = (
    name: string,
    labels: Record<string, string>,
    over: Partial<Candidate> = {},
  ): EffectCandidate => ({
    ...node(name, over),
    labels,
  });
  const members = [
    labelled('none', {}),
    labelled('other', { sip: 'false', zone: 'a' }),
    labelled('one', { sip: 'true', zone: 'a' }),
    labelled('two', { sip: 'true' }),
    labelled('gone', { sip: 'true' }, { state: 'leaving' }),
  ];
  const at = (list: readonly EffectCandidate[], n: number) =>
    effectNode(list, { sip: 'true' }, `bridge/b${n}`)?.name;
  const before = Array.from({ length: 64 }, (_, n) => at(members, n));
  t.deepEqual([...new Set(before)].sort(), ['one', 'two']);
  const more = [...members, labelled('three', { sip: 'true' })];
  for (const [n, name] of before.entries()) t.true([name, 'three'].includes(at(more, n)));
  t.is(effectNode(members, { sip: 'true', zone: 'b' }, 'bridge/b1'), undefined);
  const drained = [labelled('d', { sip: 'true' }, { state: 'draining' })];
  t.is(effectNode(drained, { sip: 'true' }, 'bridge/b1')?.name, 'd', 'only where no other can');
});
