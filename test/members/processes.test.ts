/** Nodes as processes: what a crash of one costs, and what an operator sees and does. */
import { resolve } from 'node:path';
import test from 'ava';
import { Subjects } from '#runtime/bus/subjects';
import { chainViolations } from '../rig/chain.ts';
import { CliFolder } from '../rig/cli.ts';
import { TestServer } from '../rig/nats.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';

const SHARDS = 6;
const CONFIG = {
  shards: SHARDS,
  kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } },
};

/** A counter in each shard. */
function counters(): string[] {
  const subjects = new Subjects('if', SHARDS);
  const found = new Map<number, string>();
  for (let n = 0; found.size < SHARDS; n++) {
    const address = `counter/k${n}`;
    if (!found.has(subjects.shardOf(address))) found.set(subjects.shardOf(address), address);
  }
  return [...found.values()];
}

test('after kill -9 of a node its shards answer from another, and nothing acknowledged is lost', async (t) => {
  await using server = await TestServer.start({ strict: true });
  await using first = await TestRealm.start({ config: { ...CONFIG, node: { name: 'first' } }, server });
  await using second = await TestRealm.start({ config: { ...CONFIG, node: { name: 'second' } }, server });
  const client = await second.client();
  const spread = async (): Promise<number[]> =>
    (await second.status(client)).map(({ shards }) => shards.length);
  while ((await spread()).includes(0)) await second.event('shard_recovered', 1_000).catch(() => undefined);
  const addresses = counters();
  for (let n = 1; n <= 5; n++) {
    for (const { reply } of await Promise.all(addresses.map((at) => client.ask(at, { type: 'inc' })))) {
      t.deepEqual(reply, { n });
    }
  }
  const gone = second.event('member_gone', 60_000);
  const killed = first.kill();
  const killedAt = performance.now();
  const answers = await Promise.all(
    addresses.map(async (at) => {
      const { reply } = await client.ask(at, { type: 'inc' });
      return { reply, ms: performance.now() - killedAt };
    }),
  );
  await killed;
  t.like(await gone, { name: 'first' });
  for (const { reply } of answers) t.deepEqual(reply, { n: 6 });
  const slowestMs = Math.max(...answers.map(({ ms }) => ms));
  t.log(`${Math.round(slowestMs)} ms until every shard answered`);
  t.deepEqual(await chainViolations(client.connection), []);
});

test.skipIf(isEveryday)('nodes, shards, drain and undrain tell and do what they say', async (t) => {
  await using home = await TestRealm.start({
    config: { ...CONFIG, limits: { shardStay: 0 }, node: { name: 'home' } },
  });
  const { url, token } = home;
  const config = {
    ...CONFIG,
    limits: { shardStay: 0 },
    node: { name: 'guest', labels: { sip: 'true', zone: 'a' } },
  };
  await using guest = await TestRealm.start({ config, server: { url, token } });
  await using folder = new CliFolder();
  const run = async (...args: string[]) => {
    const ended = await folder.run([...args, '--data', home.dataDir]);
    t.is(ended.code, 0, ended.err);
    return ended.out;
  };
  const nodes = await run('nodes');
  t.regex(nodes, /NODE +ID +STATE +VERSION +CAPACITY +LABELS +SHARDS +UP/);
  t.regex(nodes, /guest .* up .* sip zone=a/);
  const owners = async (): Promise<string[]> =>
    (await run('shards', '--json'))
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { ownerName?: string }).ownerName ?? 'nobody');
  const both = async (): Promise<void> => {
    while (new Set(await owners()).size < 2) await run('shards', '--wait');
  };
  await both();
  t.regex(await run('shards'), /SHARD +OWNER +PHASE +EPOCH +INDEX +ACTORS +REMARK/);
  t.regex(await run('drain', 'guest'), /✓ guest runs no shard; \d shards? moved/);
  t.deepEqual([...new Set(await owners())], ['home']);
  t.regex(await run('nodes'), /guest .* draining/);
  t.regex(await run('undrain', 'guest'), /✓ guest takes shards again/);
  await both();

  // A wish of an operator outlives the node.
  await run('drain', 'guest');
  await guest.kill();
  await guest.up();
  t.regex(await run('nodes'), /guest .* draining/);
  t.deepEqual([...new Set(await owners())], ['home']);

  const nobody = await folder.run(['drain', 'nobody', '--data', home.dataDir]);
  t.not(nobody.code, 0);
  t.regex(nobody.err, /No node is named nobody; there are: guest, home/);
  // Nobody else may take the shards of the last one.
  const last = await folder.run(['drain', 'home', '--timeout', '300ms', '--data', home.dataDir]);
  t.not(last.code, 0);
  t.regex(last.err, /home still runs 6 shards after 300 ms/);
});

test.skipIf(isEveryday)('a second node on this machine joins by the data folder of the first', async (t) => {
  await using folder = new CliFolder();
  const first = folder.start(['up', '--data', 'one', '--name', 'one', '--json']);
  await first.until(/"event":"up"/);
  const second = folder.start([
    'up',
    '--data',
    'two',
    '--name',
    'two',
    '--label',
    'sip',
    '--join',
    'one',
    '--json',
  ]);
  await second.until(/"event":"up"/);
  const { out, err } = await folder.run(['nodes', '--data', 'two']);
  t.regex(out, /one .* up /, err);
  t.regex(out, /two .* up .* sip/);
  second.process.kill('SIGTERM');
  await second.ended;
  const alone = await folder.run(['up', '--data', 'two', '--name', 'two']);
  t.not(alone.code, 0);
  t.regex(alone.err, /join_missing.*joined a realm before/);
  const absent = await folder.run(['up', '--data', 'three', '--join', './absent']);
  t.regex(absent.err, /There is no data folder/);
  const badly = await folder.run(['up', '--data', 'three', '--join', 'one', '--label', 'a b']);
  t.regex(badly.err, /"a b" is no label/);
});

test.skipIf(isEveryday)(
  'two folders of code side by side: shards with new actors are not taken by a node of the old, and shards says why',
  async (t) => {
    const code = (versions: string, name: string) => ({
      ...CONFIG,
      limits: { leaseTtl: '1s', shardStay: 0 },
      kinds: {
        counter: {
          machine: `${resolve(import.meta.dirname, 'counters.ts')}#${versions}`,
          spawnOnMessage: true,
          door: 'open',
        },
      },
      node: { name },
    });
    await using server = await TestServer.start();
    await using fresh = await TestRealm.start({ config: code('v2', 'fresh'), server });
    const client = await fresh.client();
    const addresses = counters();
    // One shard stays without an actor: any node may have it.
    const [spared = '', ...used] = addresses;
    for (const at of used) t.deepEqual((await client.ask(at, { type: 'inc' })).reply, { n: 1 });
    await using old = await TestRealm.start({ config: code('v1', 'old'), server });
    await using folder = new CliFolder();
    const shards = async (): Promise<string> => (await folder.run(['shards', '--data', old.dataDir])).out;
    const free = new Subjects('if', SHARDS).shardOf(spared);
    const gone = old.event('member_gone');
    await fresh.kill();
    await gone;
    let text = await shards();
    while (!/ old +running/.test(text) || text.includes('fresh')) text = await shards();
    const lines = text.trim().split('\n').slice(1);
    t.is(lines.length, SHARDS);
    for (const [shard, line] of lines.entries()) {
      if (shard === free) t.regex(line, /^ +\d+ +old +running/);
      else t.regex(line, /nobody .* no node can run it; old has no tally@2/);
    }
    const waited = await folder.run(['shards', '--wait', '--timeout', '50ms', '--data', old.dataDir]);
    t.not(waited.code, 0);
    t.regex(waited.err, /error\[shards_unsettled\]: \d+ shards? did not run where they should after 50 ?ms/);
    await t.throwsAsync(client.ask(used[0] ?? '', { type: 'inc' }, { timeoutMs: 500 }));
    await fresh.up();
    for (const at of used) t.deepEqual((await client.ask(at, { type: 'inc' })).reply, { n: 2 });
  },
);
