/** What a crash of nats-server and a paused node cost: nothing that was acknowledged, and nobody two owners. */
import { Kvm } from '@nats-io/kv';
import test from 'ava';
import { chainViolations } from '../rig/chain.ts';
import { ledgerConfig } from '../rig/configs.ts';
import { Load } from '../rig/load.ts';
import { TestServer } from '../rig/nats.ts';
import { TestRealm } from '../rig/realm.ts';

const SHARDS = 2;
/** Placement wants the one for every shard, and the other for none while the one is there. */
const OWNER = { name: 'owner' };
const SPARE = { name: 'spare', capacity: 0.001 };

test('kill -9 of nats-server under load: nothing acknowledged is lost, the inbox has no gap, asks go on', async (t) => {
  await using realm = await TestRealm.start({ config: ledgerConfig(SHARDS) });
  const load = new Load({ client: () => realm.client(), shards: SHARDS });
  await load.start();
  await load.more(100);
  for (let crash = 0; crash < 2; crash++) {
    const back = realm.event('bus_reconnected');
    process.kill(realm.serverPid, 'SIGKILL');
    await back;
    await load.more(100);
  }
  await load.stop();
  t.deepEqual(await load.violations(), []);
});

test('a paused owner that wakes after another took its shards is fenced, leaves, and harms nothing', async (t) => {
  await using server = await TestServer.start({ strict: true });
  const options = { ...ledgerConfig(SHARDS), limits: { leaseTtl: '1s', snapshotEvery: 40 } };
  await using first = await TestRealm.start({ config: { ...options, node: OWNER }, server });
  await using second = await TestRealm.start({ config: { ...options, node: SPARE }, server });
  const load = new Load({ client: () => second.client(), shards: SHARDS });
  await load.start();
  await load.more(150);
  const status = async (): Promise<number[]> => {
    const nodes = await second.status(await second.client());
    return nodes.map((node) => node.shards.length);
  };
  t.deepEqual((await status()).toSorted(), [0, SHARDS], 'the first node owns every shard');

  const taken = second.event('shard_recovered');
  first.signal('SIGSTOP');
  await taken;
  await load.more(150);
  const left = first.event('shard_left');
  first.signal('SIGCONT');
  const { error } = await left;
  await load.more(150);
  await load.stop();
  t.true(['shard_moved', 'lease_lost'].includes((error as { code: string }).code));
  t.deepEqual(await load.violations(), []);

  // The new owner's snapshots are whole: a third owner begins from them.
  const again = first.event('shard_recovered');
  await second.kill();
  await again;
  t.deepEqual(await load.violations(), []);
  t.deepEqual(await chainViolations((await second.client()).connection), []);
});

test('an owner that was replaced without knowing is refused by its log, leaves, and its callers lose nothing', async (t) => {
  await using server = await TestServer.start();
  // No lease runs out here: only the log can tell the first owner.
  const options = { ...ledgerConfig(SHARDS), limits: { leaseTtl: '1h' } };
  await using first = await TestRealm.start({ config: { ...options, node: OWNER }, server });
  await using second = await TestRealm.start({ config: { ...options, node: SPARE }, server });
  const load = new Load({ client: () => second.client(), shards: SHARDS });
  await load.start();
  await load.more(50);
  const client = await second.client();
  const { connection } = client;
  const claims = await new Kvm(connection).open('if_claims');
  const holder = (await second.status(client)).find(({ name }) => name === SPARE.name)?.nodeId;
  for (let shard = 0; shard < SHARDS; shard++) {
    const left = first.event('shard_left');
    await claims.put(`shard.${shard}`, JSON.stringify({ holder, nonce: 'n', given: 'g' }));
    const { error } = await left;
    t.is((error as { code: string }).code, 'shard_moved');
  }
  await load.more(50);
  await load.stop();
  t.deepEqual(await load.violations(), []);
  t.deepEqual(await chainViolations(connection), []);
});
