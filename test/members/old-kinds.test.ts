/** A node whose config names a machine no more: actors on it are still in the log. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { builtins } from '#actors/index';
import { connect } from '#runtime/client/node';
import { startNode } from '#runtime/node/start';
import { realmConfigSchema } from '#schemas/config';
import { silentLogger } from '../rig/nats.ts';

test('actors of a kind that left the config come back with their shard', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'if-old-kinds-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const start = async (kinds: object) => {
    const config = realmConfigSchema.parse({
      realm: 'aged',
      durability: 'relaxed',
      kinds,
      witness: { enabled: false },
    });
    const { strategy, intensity, periodMs } = config.supervisor;
    return await startNode({
      config,
      spec: { strategy, intensity, periodMs, children: [] },
      baseDir: folder,
      dataDir: join(folder, 'data'),
      builtins: async () => builtins,
      log: silentLogger,
    });
  };
  const before = await start({ counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } });
  const client = await connect({ runFile: join(folder, 'data', 'run.json') });
  t.deepEqual((await client.ask('counter/old', { type: 'inc' })).reply, { n: 1 });
  await client.close();
  await before.stop();
  const after = await start({});
  const shards = after.status().shards.map(({ phase, actors }) => ({ phase, actors }));
  await after.stop();
  t.deepEqual(shards, [{ phase: 'running', actors: 2 }], 'the root supervisor and the counter');
});
