/** Another number of shards for a realm that is stopped: every actor comes along, or nothing has changed. */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import test, { type ExecutionContext } from 'ava';
import { builtins } from '#actors/index';
import { withToken } from '#runtime/bus/servers';
import { checkShards, ensureStreams, freezeInbox, thawInbox } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { machineNames } from '#runtime/cli/builtins';
import { connect } from '#runtime/client/node';
import { type ReshardOptions, type ReshardStep, reshard } from '#runtime/node/reshard';
import { loadConfig } from '#runtime/supervise/load-config';
import type { FabricError } from '#schemas/fabric-error';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';
import { CliFolder, type Ended } from '../rig/cli.ts';
import { silentLogger, TestServer } from '../rig/nats.ts';
import { isEveryday } from '../rig/tier.ts';

const COUNTERS = 24;
const AN_HOUR_MS = 3_600_000;
const SOON_MS = 30_000;

function ok(t: ExecutionContext, ended: Ended): string {
  t.is(ended.code, 0, `${ended.out}\n${ended.err}`);
  return ended.out;
}

function configText(shards: number): string {
  return `
realm: dealt
durability: relaxed
shards: ${shards}
limits: { snapshotEvery: 10 }
kinds:
  counter: { machine: counter, spawnOnMessage: true, door: open }
  alarm: { machine: "${resolve('test/bench/machines.ts')}#alarm", spawnOnMessage: true, door: open }
`;
}

async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  for (const until = performance.now() + SOON_MS; !(await isSo()); await setTimeout(20))
    if (performance.now() > until) throw new Error('it does not come');
}

class Dealt {
  readonly folder: CliFolder;
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext, folder: CliFolder) {
    this.#t = t;
    this.folder = folder;
    this.shards(3);
  }

  shards(count: number): void {
    writeFileSync(join(this.folder.path, 'realm.yaml'), configText(count));
  }

  async run(...args: string[]): Promise<string> {
    return ok(this.#t, await this.folder.run(args));
  }

  client() {
    return connect({ runFile: join(this.folder.path, '.infrafabric/dealt/run.json'), from: 'asker' });
  }

  options(shards: number): ReshardOptions {
    const file = join(this.folder.path, 'realm.yaml');
    const { config } = loadConfig(file, { env: {}, machines: machineNames(builtins) });
    return {
      config,
      baseDir: this.folder.path,
      dataDir: join(this.folder.path, '.infrafabric/dealt'),
      shards,
      machines: builtins.machines,
      driverNames: [...Object.keys(builtins.drivers), ...KERNEL_DRIVERS],
      log: silentLogger,
    };
  }

  /** Ends at a step, as if what it calls had failed. */
  async broken(step: ReshardStep): Promise<void> {
    await this.#t.throwsAsync(
      reshard({
        ...this.options(5),
        onStep: (done) => {
          if (done === step) throw new Error(`broken at ${step}`);
        },
      }),
      { message: `broken at ${step}` },
    );
  }

  /** Every counter is at what it was brought to, and a message that came before counts for nothing more. */
  async isAsItWas(rounds: number): Promise<void> {
    await using client = await this.client();
    for (let n = 0; n < COUNTERS; n += 1) {
      const { reply } = await client.ask(`counter/k${n}`, { type: 'get' });
      this.#t.deepEqual(reply, { n: 1 + (n % 3) + rounds }, `counter/k${n}`);
      const again = await client.ask(`counter/k${n}`, { type: 'inc' }, { id: `first-${n}` });
      this.#t.deepEqual(again.reply, { n: 1 }, 'the first answer');
    }
    this.#t.regex(await this.run('show', 'alarm/a', '--json'), /"dueAt":\d+/);
  }
}

test.skipIf(isEveryday)(
  'every actor comes along to more shards and to fewer, with its timers and message ids; before the last step nothing has changed',
  async (t) => {
    await using folder = new CliFolder();
    const realm = new Dealt(t, folder);
    await realm.run('up', '--detach');
    {
      await using client = await realm.client();
      for (let n = 0; n < COUNTERS; n += 1) {
        await client.ask(`counter/k${n}`, { type: 'inc' }, { id: `first-${n}` });
        for (let more = 0; more < n % 3; more += 1) await client.ask(`counter/k${n}`, { type: 'inc' });
      }
      await client.ask('alarm/a', { type: 'set', dueAt: Date.now() + AN_HOUR_MS } as { type: string });
    }
    const running = await folder.run(['reshard', '--shards', '5']);
    t.not(running.code, 0, 'not while it runs');
    await realm.run('down');

    for (const step of ['fenced', 'read', 'written', 'compared'] as const) await realm.broken(step);
    await realm.run('up', '--detach');
    await realm.isAsItWas(0);
    await realm.run('down');

    const moved = JSON.parse(await realm.run('reshard', '--shards', '5', '--json')) as {
      actors: number;
      digest: string;
      spread: number[];
    };
    t.is(moved.spread.length, 5);
    t.is(
      moved.spread.reduce((a, b) => a + b),
      moved.actors,
    );
    const old = await folder.run(['up', '--detach']);
    t.not(old.code, 0);
    t.regex(old.err + old.out, /has 5 shards; the config says 3/);

    realm.shards(5);
    await realm.run('up', '--detach');
    await realm.isAsItWas(0);
    {
      await using client = await realm.client();
      for (let n = 0; n < COUNTERS; n += 1) await client.ask(`counter/k${n}`, { type: 'inc' });
      await client.send('counter/sent', { type: 'inc' });
    }
    await realm.run('down');

    t.regex(await realm.run('reshard', '--shards', '2'), /live in 2 now/);
    realm.shards(2);
    await realm.run('up', '--detach');
    await realm.isAsItWas(1);
    t.regex(await realm.run('ask', 'counter/sent', 'get'), /"n":1/);
    await realm.run('verify');
    await realm.run('replay');
    await realm.run('down');
  },
);

test('what waits in the inbox is neither lost nor dealt: the realm handles it first, and takes no sends meanwhile', async (t) => {
  await using folder = new CliFolder();
  await using server = await TestServer.start();
  const realm = new Dealt(t, folder);
  const join = ['--join', withToken(server.url, server.token)];
  await realm.run('up', '--detach', ...join);
  await realm.run('ask', 'counter/k1', 'inc');
  await realm.run('down');

  const nc = await server.connect();
  const send = async (): Promise<{ error?: { code: number } }> =>
    (await nc.request('if.in.counter.k1', '{"type":"inc"}', { timeout: 30_000 })).json();
  t.is((await send()).error, undefined);
  const busy = await folder.run(['reshard', '--shards', '4', ...join]);
  t.not(busy.code, 0);
  t.regex(busy.err, /not handled yet/);
  t.is((await send()).error, undefined, 'sends are taken again');

  const subjects = new Subjects('if', 3);
  const jsm = await jetstreamManager(nc);
  const seq = await freezeInbox(jsm, subjects);
  t.is(seq, 2);
  t.is((await send()).error?.code, 503, 'refused for now');
  const sizes = { inboxBytesMax: 1e6, deadBytesMax: 1e6, logBytesMax: -1 };
  await ensureStreams(nc, subjects, { replicas: 'auto', ...sizes });
  t.is((await send()).error?.code, 503, 'a node that starts meanwhile has no shard yet');
  // The first shard thaws what a renumbering that was cut off has left behind; what was stored before is there.
  await realm.run('up', '--detach', ...join);
  await eventually(async () => (await send()).error === undefined);
  const handled = async (n: number): Promise<void> => {
    await eventually(async () => (await realm.run('ask', 'counter/k1', 'get')).includes(`"n":${n}`));
    await realm.run('down');
  };
  await handled(4);

  const meddled = await t.throwsAsync(
    reshard({
      ...realm.options(4),
      join: join[1],
      onStep: async (done) => {
        if (done !== 'compared') return;
        await thawInbox(jsm, subjects);
        t.is((await send()).error, undefined);
      },
    }),
  );
  t.is((meddled as FabricError).code, 'realm_running');
  await t.notThrowsAsync(checkShards(jsm, subjects), 'it has the shards that it had');

  await realm.run('up', '--detach', ...join);
  await handled(5);
  await realm.run('reshard', '--shards', '4', ...join);
  realm.shards(4);
  await realm.run('up', '--detach', ...join);
  t.regex(await realm.run('ask', 'counter/k1', 'get'), /"n":5/);
  await realm.run('down');
});
