/** What a crash of the node costs: nothing that was acknowledged, at whatever step of the loop it comes. */
import test from 'ava';
import { chainViolations } from '../rig/chain.ts';
import { ledgerConfig } from '../rig/configs.ts';
import { Load, Recorder } from '../rig/load.ts';
import { TestRealm } from '../rig/realm.ts';

const SHARDS = 2;

test('kill -9 at every step of the loop: each message, mail, timer and effect result counts exactly once, in order', async (t) => {
  await using recorder = await Recorder.start();
  await using realm = await TestRealm.start({ config: ledgerConfig(SHARDS, recorder) });
  const load = new Load({ client: () => realm.client(), shards: SHARDS, recorder });
  await load.start();
  await load.more(50);
  const points = [
    'before_commit:8',
    'after_commit:10',
    'before_reply:9',
    'before_mail:6',
    'after_mail:11',
    'effect_done:2',
    'after_commit:2',
  ];
  await realm.kill();
  for (const point of points) {
    realm.launch({ INFRAFABRIC_CRASH_AT: point });
    await realm.exited();
  }
  await realm.up();
  await load.more(50);
  await load.stop();
  t.deepEqual(await load.violations(), []);
  t.deepEqual(await chainViolations((await realm.client()).connection), []);
  t.log(`${load.acked} messages over ${points.length + 1} crashes`);
});
