/** Full logs, full disks, and what is on disk: nothing acknowledged is lost, refusals are typed, the log is the truth. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Objm } from '@nats-io/obj';
import test from 'ava';
import type { Client } from '#runtime/client/node';
import { FabricError } from '#schemas/fabric-error';
import { ledgerConfig } from '../rig/configs.ts';
import { idsByShard, Load, until } from '../rig/load.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';

const SHARDS = 2;
const MIB = 2 ** 20;
/** More than any full log or disk of these tests takes. */
const FILL_MAX = 300;
/** Asks of a second each that bring no answer. */
const LATE_MAX = 20;
const COUNTERS = {
  shards: SHARDS,
  kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } },
};

/**
 * Asks with a heavy body until one is refused; ids of those that were answered, and the refusal. On a busy machine an
 * answer may only be late: the same ask again tells.
 */
async function fill(
  client: Client,
  padBytes: number,
  name = `fill-${padBytes}`,
): Promise<{ done: number; refusal: FabricError; refused: string }> {
  const pad = 'x'.repeat(padBytes);
  let late = 0;
  for (let done = 0; done < FILL_MAX; done++) {
    const id = `${name}-${done}`;
    try {
      await client.ask('counter/full', { type: 'add', by: 1, pad }, { id, timeoutMs: 1_000 });
      late = 0;
    } catch (thrown) {
      if (!(thrown instanceof FabricError)) throw thrown;
      late += 1;
      if (thrown.code !== 'ask_timeout' || late === LATE_MAX) return { done, refusal: thrown, refused: id };
      done -= 1;
    }
  }
  throw new Error(`none of ${FILL_MAX} asks was refused`);
}

async function countOf(client: Client): Promise<number> {
  const { reply } = await client.ask('counter/full', { type: 'get' });
  return (reply as { n: number }).n;
}

test('a full log refuses with a typed, retryable error, also right after a restart, and goes on once it may grow', async (t) => {
  await using realm = await TestRealm.start({ config: { ...COUNTERS, limits: { logBytesMax: '1MiB' } } });
  const client = await realm.client();
  let done = 0;
  const refused: string[] = [];
  for (const padBytes of [50_000, 1_000, 0]) {
    const full = await fill(client, padBytes);
    done += full.done;
    refused.push(full.refused);
    t.true(full.refusal.retryable);
    t.regex(full.refusal.code, /^(storage_refused|log_refused)$/);
  }

  await realm.kill();
  await realm.up();
  // A shard that stalled refused before the last byte was taken: a few may still fit.
  const again = await fill(client, 0, 'again');
  done += again.done;
  refused.push(again.refused);
  t.true(again.refusal.retryable, again.refusal.code);

  const jsm = await jetstreamManager(client.connection);
  await jsm.streams.update('IF_LOG', { max_bytes: 16 * MIB });
  for (const id of refused) await client.ask('counter/full', { type: 'add', by: 1 }, { id });
  t.is(await countOf(client), done + refused.length);
});

test('a consumed inbox never fills: sends go on past its size', async (t) => {
  await using realm = await TestRealm.start({ config: { ...COUNTERS, limits: { inboxBytesMax: '1MiB' } } });
  const client = await realm.client();
  const pad = 'x'.repeat(30_000);
  // Three times its size, of which a third at most is not consumed yet.
  for (let sent = 10; sent <= 100; sent += 10) {
    for (let n = 0; n < 10; n++) await client.send('counter/full', { type: 'add', by: 1, pad });
    // An ask may overtake what was sent: it does not go through the inbox.
    await until(async () => (await countOf(client)) >= sent);
  }
  t.is(await countOf(client), 100);
});

test('a full disk refuses with a typed, retryable error, loses nothing, and the realm goes on by itself', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'if-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmSync(folder, { recursive: true });
    t.log('skipped: a small file system of its own takes root');
    t.pass();
    return;
  }
  try {
    const ballast = join(folder, 'ballast');
    writeFileSync(ballast, Buffer.alloc(6 * MIB));
    await using realm = await TestRealm.start({ folder, config: COUNTERS });
    const client = await realm.client();
    const { done, refusal, refused } = await fill(client, 100_000);
    t.true(refusal.retryable, refusal.code);
    const opened = realm.event('bus_reconnected');
    rmSync(ballast);
    await opened;
    await client.ask('counter/full', { type: 'add', by: 1 }, { id: refused, timeoutMs: 15_000 });
    t.is(await countOf(client), done + 1);
  } finally {
    execFileSync('umount', [folder]);
    rmSync(folder, { recursive: true });
  }
});

test.skipIf(isEveryday)('the log alone gives the same states as snapshot and log', async (t) => {
  const config = { ...ledgerConfig(SHARDS), limits: { snapshotEvery: 30 } };
  await using realm = await TestRealm.start({ config });
  const load = new Load({ client: () => realm.client(), shards: SHARDS, count: 25 });
  await load.start();
  await load.finish();
  const client = await realm.client();
  const look = async (): Promise<unknown[]> => {
    const found: unknown[] = [];
    for (const name of ['direct', 'relay', 'target', 'timed']) {
      for (const [shard, address] of idsByShard('ledger', SHARDS, name).entries()) {
        if (name === 'timed' && shard > 0) continue;
        const { context, value } = await realm.show(client, shard, address);
        found.push({ address, context, value });
      }
    }
    return found;
  };
  t.deepEqual(await load.violations(), []);
  const before = await look();

  const folded = (): number => {
    const [first, second] = realm.events.filter(({ event }) => event === 'shard_recovered').slice(-SHARDS);
    return Number(first?.['commits']) + Number(second?.['commits']);
  };
  await realm.kill();
  await realm.up();
  const fromSnapshot = folded();
  t.deepEqual(await look(), before);

  await (await new Objm(client.connection).open('if_obj')).destroy();
  await realm.kill();
  await realm.up();
  t.true(fromSnapshot < folded() / 2, 'a snapshot shortens the fold');
  t.deepEqual(await look(), before);
  t.deepEqual(await load.violations(), []);
});

test.skipIf(isEveryday)(
  'machine code that changed under the same version is found out by the digest, and the other kinds go on',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'if-machines-'));
    try {
      const file = join(folder, 'sum.ts');
      const xstate = import.meta.resolve('xstate');
      const kit = resolve(import.meta.dirname, '../../schemas/machine-kit.ts');
      const machine = (by: number): string => `
      import { assign, setup } from ${JSON.stringify(xstate)};
      import { kernelActions } from ${JSON.stringify(kit)};
      export const sum = setup({ actions: { ...kernelActions } }).createMachine({
        version: '1',
        context: { n: 0 },
        on: { inc: { actions: [assign({ n: ({ context }) => context.n + ${by} }), { type: 'reply', params: ({ context }) => context }] } },
      });`;
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, machine(1));
      const kinds = {
        ...COUNTERS.kinds,
        sum: { machine: `${file}#sum`, spawnOnMessage: true, door: 'open' },
      };
      await using realm = await TestRealm.start({ config: { ...COUNTERS, kinds } });
      const client = await realm.client();
      const [here = '', there = ''] = idsByShard('sum', SHARDS, 'a');
      const [, neighbour = ''] = idsByShard('counter', SHARDS, 'c');
      await client.ask(here, { type: 'inc' });
      await client.ask(neighbour, { type: 'inc' });
      t.not(there, here);
      await realm.down();

      writeFileSync(file, machine(2));
      await realm.up();
      const thrown = await t.throwsAsync<FabricError>(
        client.ask(here, { type: 'inc' }, { timeoutMs: 2_000 }),
        {
          instanceOf: FabricError,
        },
      );
      t.is(thrown.code, 'diverged');
      t.like(await client.ask(neighbour, { type: 'inc' }), { reply: { n: 2 } });

      await realm.down();
      writeFileSync(file, machine(1));
      await realm.up();
      t.like(await client.ask(here, { type: 'inc' }), { reply: { n: 2 } });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test.serial(
  'after a restart everything is where it was: pending timers fire once, at their time or at once when it has passed',
  async (t) => {
    await using realm = await TestRealm.start({ config: ledgerConfig(SHARDS) });
    const client = await realm.client();
    const [address = ''] = idsByShard('ledger', SHARDS, 'timer');
    const all = ['past', 'soon', 'far', 'raw1', 'raw2', 'past+', 'soon+'].toSorted();
    await client.ask(address, { type: 'later', label: 'past', ms: 50 });
    const askedAt = Date.now();
    await client.ask(address, { type: 'later', label: 'soon', ms: 1_500 });
    await client.ask(address, { type: 'later', label: 'far', ms: 3_600_000 });
    // Without ids: only the position in the log says that they are done.
    for (const label of ['raw1', 'raw2']) {
      const body = JSON.stringify({ type: 'put', label });
      await client.connection.request(`if.in.${address.replace('/', '.')}`, body, { timeout: 30_000 });
    }
    await until(async () => {
      const { reply } = await client.ask(address, { type: 'get' });
      return (reply as { got: readonly string[] }).got.includes('raw2');
    });
    await realm.kill();
    await realm.up();
    // Looked at from aside: an ask would be a commit, and commits take due timers along.
    let got: readonly string[] = [];
    await until(async () => {
      const { context } = await realm.show(client, 0, address);
      ({ got } = context as { got: readonly string[] });
      return got.includes('soon+');
    });
    t.true(Date.now() - askedAt >= 1_490, 'no timer fires early');
    t.log(`${Date.now() - askedAt - 1_500} ms late, over a kill and a restart`);
    t.deepEqual(got.toSorted(), all);
    await realm.down();
    await realm.up();
    const shown = await realm.show(client, 0, address);
    t.deepEqual((shown.context as { got: readonly string[] }).got.toSorted(), all);
    t.is(shown.timers.length, 1);
  },
);
