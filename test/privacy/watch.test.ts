/** The bucket of data keys over a server that dies and comes back. */
import { createSecretKey, randomBytes } from 'node:crypto';
import test from 'ava';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { DataKeys } from '#runtime/privacy/data-keys';
import { natsKeyRows } from '#runtime/privacy/nats-data-keys';
import { TestServer } from '../rig/nats.ts';
import { until } from './rig.ts';

test('K4: a node goes on hearing of redactions after its server was killed and came back', async (t) => {
  await using server = await TestServer.start();
  const subjects = new Subjects('if', 1);
  const limits = { replicas: 1, inboxBytesMax: 2 ** 20, deadBytesMax: 2 ** 20, logBytesMax: -1 };
  await ensureStreams(await server.connect(), subjects, limits);
  const privacyKey = createSecretKey(randomBytes(32));
  const node = async () => {
    const rows = await natsKeyRows(await server.connect(), subjects.buckets.privacy);
    return DataKeys.open({ rows, realm: 'test', privacyKey, now: Date.now });
  };
  await using one = await node();
  await using two = await node();
  t.is((await one.ensure('a')).state, 'active');
  t.is((await two.ensure('a')).state, 'active');
  const killedAt = Date.now();
  server.kill();
  await until(() => two.cached('a') === undefined, 'a node without its server relies on no key');
  t.log(`after ${Date.now() - killedAt} ms`);
  await until(async () => {
    const done = await one.destroy('a', 'order').catch(() => undefined);
    return done !== undefined;
  }, 'the server is back');
  t.is((await two.ensure('a')).state, 'redacted');
  const fresh = await two.ensure('b');
  t.is(fresh.state, 'active');
  await one.destroy('b', 'order');
  await until(() => two.cached('b') === undefined, 'the other node hears again');
});
