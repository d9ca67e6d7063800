/** Personal data in a real realm: never in the clear on disk, gone with its key, and the log whole all the same. */
import test from 'ava';
import { isSealed } from '#schemas/sealed';
import { TestRealm } from '../rig/realm.ts';
import { filesWith, personConfig, until } from './rig.ts';

const SECRET = 'marker-xq77310-zz';

test('what a schema marks is sealed before anything stores it: asks, sends, answers, mail, timers, events, snapshots, effects', async (t) => {
  await using realm = await TestRealm.start({ config: personConfig() });
  const client = await realm.client();
  const events: unknown[] = [];
  const watching = (async () => {
    for await (const { body } of client.watch('person/*')) events.push(body);
  })();
  const register = {
    type: 'register',
    name: `Jane ${SECRET}`,
    email: `${SECRET}@mail.example`,
    contacts: [{ phone: `+1-${SECRET}`, kind: 'home' }],
  };
  const { reply } = await client.ask('person/1', register);
  t.true(isSealed((reply as { name: unknown }).name), JSON.stringify(reply));
  await client.send('person/2', { ...register, name: `Sent ${SECRET}` });
  await client.ask('person/1', { type: 'note', text: `a note on ${SECRET}` });
  await client.ask('person/1', { type: 'tell', to: 'person/3' });
  await client.ask('person/1', { type: 'later' });
  await client.ask('person/1', { type: 'write' });
  await until(async () => {
    const { reply: now } = await client.ask('person/1', { type: 'get' });
    return (now as { written: unknown }).written !== null;
  }, 'the effect has a result');
  const { reply: context } = await client.ask('person/1', { type: 'get' });
  t.like(context, { contacts: [{ kind: 'home' }] });
  const { stdout, code } = (context as { written: { stdout: unknown; code: unknown } }).written;
  t.is(code, 0);
  t.true(isSealed(stdout), JSON.stringify(stdout));
  await until(async () => {
    const { reply: told } = await client.ask('person/3', { type: 'get' });
    return isSealed((told as { name: unknown }).name);
  }, 'the mail has come');
  await until(() => events.length >= 1, 'the event was heard');
  t.false(JSON.stringify(events).includes(SECRET), JSON.stringify(events));
  await until(
    () => filesWith(realm.dataDir, SECRET).length === 0,
    `nothing holds it: ${filesWith(realm.dataDir, SECRET).join(', ')}`,
  );
  t.false(JSON.stringify(realm.events).includes(SECRET));
  await realm.down();
  t.deepEqual(filesWith(realm.folder, SECRET), []);
  await realm.up();
  const { reply: again } = await client.ask('person/1', { type: 'get' });
  t.deepEqual(again, context);
  await client.close();
  await watching;
});
