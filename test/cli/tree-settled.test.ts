/** What `up` and `reload` say of shards that nobody answers for. */
import test from 'ava';
import { treeSettled } from '#runtime/cli/tree-settled';
import type { MembersReply, NodeStatus } from '#runtime/node/api';
import { nodeErrors } from '#runtime/node/errors';
import { FabricError } from '#schemas/fabric-error';
import type { Member } from '#schemas/member';

const NODE: Member = {
  id: 'n1',
  name: 'first',
  version: '1.0.0',
  state: 'up',
  capacity: 1,
  labels: {},
  machines: ['supervisor@1', 'hello@2'],
  kinds: {},
  startedAt: 0,
  shards: {},
  failed: {},
};
const SHORT = { timeoutMs: 60, silenceMs: 120 };

/** A realm whose one shard nobody answers for, for so many looks. */
function realm(place: Partial<MembersReply['places'][number]>, member: Partial<Member> = {}, silences = 1e9) {
  let looks = 0;
  const statuses: NodeStatus[] = [];
  return {
    statuses: async () => statuses,
    members: async (): Promise<MembersReply> => ({
      members: [{ ...NODE, ...member }],
      places: [{ shard: 0, needs: [], unfit: {}, ...place }],
    }),
    async *actors() {
      looks += 1;
      if (looks <= silences)
        throw new FabricError(nodeErrors.realm_unreachable, 'Nobody answered if.api.shard.0.list');
      yield {
        address: 'supervisor/root',
        machine: 'supervisor@1',
        status: 'active' as const,
        value: 'running',
      };
    },
  };
}

test('a shard on its way to another node is waited for', async (t) => {
  t.true(await treeSettled(realm({ wanted: 'first' }, {}, 2), SHORT));
  const error = await t.throwsAsync(treeSettled(realm({ wanted: 'first' }), SHORT), {
    instanceOf: FabricError,
  });
  t.is(error.code, 'shard_unowned');
  t.regex(error.message, /Shard 0 .* moves to first/);
});

test('a machine version that no node has is named, and the versions that are there', async (t) => {
  const place = { needs: ['hello@1', 'supervisor@1'], unfit: { first: 'has no hello@1' } };
  const error = await t.throwsAsync(treeSettled(realm(place), SHORT), { instanceOf: FabricError });
  t.is(error.code, 'shard_unplaced');
  t.is(error.message, 'Shard 0 needs hello@1, which no node has; first has hello@2');
  t.regex(error.help, /Keep the old version/);
});

test('a shard that a node failed says with what error', async (t) => {
  const failure = { code: 'log_damaged', message: 'commit 7 is torn' };
  const error = await t.throwsAsync(treeSettled(realm({}, { failed: { 0: failure } }), SHORT), {
    instanceOf: FabricError,
  });
  t.is(error.code, 'shard_failed');
  t.regex(error.message, /first.*log_damaged: commit 7 is torn/);
});

test('what a node told before it ended is the reason, and its end is not waited out', async (t) => {
  const told = realm({ needs: ['hello@1'] });
  let answers = 0;
  const dying = {
    ...told,
    members: () => {
      answers += 1;
      if (answers > 1) throw new FabricError(nodeErrors.realm_unreachable, 'Nobody answered if.api.members');
      return told.members();
    },
  };
  const ended = new FabricError(nodeErrors.shard_failed, 'it ended');
  const failure = () => (answers > 1 ? ended : undefined);
  const limits = { timeoutMs: 60_000, silenceMs: 60_000, failure };
  await t.throwsAsync(treeSettled(dying, limits), { code: 'shard_unplaced' });
});
