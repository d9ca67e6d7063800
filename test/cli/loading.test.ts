/** A node, and what replays, load what they run with and no more: a third of a start is loading. */
import { registerHooks } from 'node:module';
import { PassThrough } from 'node:stream';
import test from 'ava';
import { FIRST_REALM } from '#runtime/cli/commands/up';
import type { Io } from '#runtime/cli/io';
import { outOf } from '#runtime/cli/io';
import type { NodeStatus } from '#runtime/node/api';
import { realmConfigSchema } from '#schemas/config';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';

const DRAWING = /node_modules\/(?:log-update|cli-table3|string-width)\//;

const loaded: string[] = [];
registerHooks({
  load(url, context, nextLoad) {
    loaded.push(url);
    return nextLoad(url, context);
  },
});

test.serial(
  'a node on a new folder loads the machines of its config and of the kernel, and no other',
  async (t) => {
    const { builtins } = await import('#actors/index');
    const { buildRegistry } = await import('#runtime/node/registry');
    const config = realmConfigSchema.parse(FIRST_REALM);
    await buildRegistry({
      config,
      machines: builtins.machines,
      driverNames: [...Object.keys(builtins.drivers), ...KERNEL_DRIVERS],
      baseDir: '.',
    });
    const names = builtins.machines.map(({ name }) => name);
    t.deepEqual(
      names.filter((name) => loaded.some((url) => url.endsWith(`/machines/${name}.ts`))),
      ['counter', 'keyring', 'redaction', 'supervisor', 'witness'],
    );
  },
);

test.serial('a replay has the machines without the drivers and their clients', async (t) => {
  const { distribution } = await import('#actors/distribution');
  loaded.length = 0;
  const machines = await distribution.machines();
  t.true(machines.length > 20);
  t.true(loaded.some((url) => url.endsWith('/machines/task.ts')));
  t.deepEqual(
    loaded.filter((url) => /driver|@nats-io|runtime\/(?:effects|sandbox|claims)\//.test(url)),
    [],
  );
  t.deepEqual(
    (await distribution.builtins()).machines.map(({ name }) => name),
    machines.map(({ name }) => name),
  );
});

test.serial('what draws is loaded for a terminal, and for nobody else', async (t) => {
  const { LiveView } = await import('#runtime/cli/live-view');
  const seen = { pipe: '', terminal: '' };
  const ioOf = (name: keyof typeof seen): Io => {
    const stdout = Object.assign(new PassThrough(), {
      isTTY: name === 'terminal',
      columns: 100,
      rows: 24,
    });
    stdout.on('data', (chunk: Buffer) => {
      seen[name] += chunk.toString();
    });
    const { signal } = new AbortController();
    const quiet = new PassThrough();
    return { stdin: quiet, stdout, stderr: quiet, env: {}, cwd: '.', self: [], signal };
  };
  const piped = ioOf('pipe');
  const plain = await LiveView.open(piped, outOf(piped, false));
  plain.show({ status: () => status }, undefined);
  plain.stop();
  t.deepEqual(
    loaded.filter((url) => DRAWING.test(url)),
    [],
  );
  const terminal = ioOf('terminal');
  const drawn = await LiveView.open(terminal, outOf(terminal, false));
  t.true(loaded.some((url) => DRAWING.test(url)));
  const once = Promise.withResolvers<void>();
  terminal.stdout.once('data' as never, once.resolve as never);
  drawn.show({ status: () => status }, undefined);
  await once.promise;
  drawn.stop();
  t.regex(seen.terminal, /spaced/);
  t.is(seen.pipe, '');
});

const status: NodeStatus = {
  nodeId: 'n',
  realm: 'spaced',
  version: '0.1.0',
  pid: 1,
  startedAt: 0,
  durability: 'strict',
  shardCount: 1,
  keys: 0,
  keysRevoked: 0,
  shards: [],
};
