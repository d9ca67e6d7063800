/** Clients that know another number of shards than the realm has: those that stayed connected over a reshard. */
import { connect as natsConnect } from '@nats-io/transport-node';
import anyTest, { type TestFn } from 'ava';
import { Subjects } from '#runtime/bus/subjects';
import { Client } from '#runtime/client/node';
import { TestRealm } from '../rig/realm.ts';

const SHARDS = 4;
const KINDS = { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } };
/** On a machine that is busy with others a node answers late. */
const PATIENT = { timeoutMs: 120_000 };

const test = anyTest as TestFn<{ realm: TestRealm }>;

test.before(async (t) => {
  t.context.realm = await TestRealm.start({ config: { shards: SHARDS, kinds: KINDS } });
  await t.context.realm.client();
});

test.after.always(async (t) => {
  await t.context.realm?.[Symbol.asyncDispose]();
});

/** A client that learned its number before, and has not asked for it since. */
async function clientOf({ url, token }: TestRealm, shards: number): Promise<Client> {
  return new Client(await natsConnect({ servers: url, token }), { shards });
}

/** Counters by where a client sends asks to them: to a shard that is another's, or to one that is not there. */
function counters(name: string, shards: number, isThere: boolean): string[] {
  const [known, real] = [new Subjects('if', shards), new Subjects('if', SHARDS)];
  return Array.from({ length: 200 }, (_, n) => `counter/${name}${n}`).filter((address) => {
    const shard = known.shardOf(address);
    return isThere ? shard < SHARDS && shard !== real.shardOf(address) : shard >= SHARDS;
  });
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('D6: what goes to the shard of another number is done once all the same, alone and in batches, and the number is learned', async (t) => {
  await using client = await clientOf(t.context.realm, 3);
  const moved = counters('moved', 3, true).slice(0, 80);
  t.is(moved.length, 80);
  const [alone = ''] = moved;
  t.deepEqual((await client.ask(alone, { type: 'inc' }, PATIENT)).reply, { n: 1 });
  await until(() => client.shards === SHARDS);

  await using other = await clientOf(t.context.realm, 3);
  const answers = await Promise.all(moved.map((address) => other.ask(address, { type: 'inc' }, PATIENT)));
  t.deepEqual(
    answers.map(({ reply }) => reply),
    moved.map((address) => ({ n: address === alone ? 2 : 1 })),
  );
  await until(() => other.shards === SHARDS);
  const detours: string[] = [];
  const spy = other.connection.subscribe('if.ask.counter.*', {
    callback: (_, m) => void detours.push(m.subject),
  });
  await other.connection.flush();
  await Promise.all(moved.map((address) => other.ask(address, { type: 'get' }, PATIENT)));
  await other.ask(alone, { type: 'get' }, PATIENT);
  await other.connection.flush();
  t.deepEqual(detours, [], 'straight from then on');
  spy.unsubscribe();
});

test('a client of more shards than there are learns so where any node answers for one that is not there', async (t) => {
  await using client = await clientOf(t.context.realm, 4 * SHARDS);
  const [gone = ''] = counters('gone', 4 * SHARDS, false);
  t.deepEqual((await client.ask(gone, { type: 'inc' }, PATIENT)).reply, { n: 1 });
  await until(() => client.shards === SHARDS);
  t.is(client.shards, SHARDS);
});
