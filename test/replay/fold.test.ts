/** R1 and R2 of runtime/replay/replayer.ts on realms in memory: everything that a log can hold. */
import { Readable, Writable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { palette } from '#runtime/cli/render/palette';
import { showSteps } from '#runtime/cli/step-view';
import { type BlobReader, Replayer } from '#runtime/replay/replayer';
import type { Divergence, ReplayStep } from '#runtime/replay/report';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import type { LogMessage } from '#runtime/witness/log-reader';
import { cases } from '../rig/effort.ts';
import { worker } from '../rig/kernel-machines.ts';

const BYTES_MAX = 64 * 1024;
const DEFINITIONS = [
  { name: 'worker', version: 1, machine: worker },
  { name: 'worker', version: 2, machine: worker, migrate: (data: unknown) => data },
];

function realmOf(limits: object, shards = 3): Promise<TestRealm> {
  return testRealm({
    machines: DEFINITIONS,
    kinds: { worker: { version: 1 } },
    drivers: { http: async () => ({ status: 200 }) },
    shards,
    limits,
    bytesMax: BYTES_MAX,
  });
}

function messagesOf({ bus }: TestRealm): LogMessage[] {
  return Array.from({ length: bus.shards }, (_, shard) =>
    bus.commits(shard).map(({ seq, bytes }) => ({ seq, shard, bytes, storedAt: 0 })),
  ).flat();
}

function blobsOf({ bus }: TestRealm): BlobReader {
  return bus.blobStore(0);
}

interface Options {
  readonly isFromSnapshot?: boolean;
  readonly registry?: TestRealm['registry'];
  readonly watch?: ConstructorParameters<typeof Replayer>[0]['watch'];
}

async function replayed(
  realm: TestRealm,
  { isFromSnapshot = false, registry = realm.registry, watch }: Options = {},
): Promise<{ readonly replayer: Replayer; readonly divergence: Divergence | undefined }> {
  const replayer = new Replayer({
    registry,
    shardOf: (address) => realm.bus.subjects.shardOf(address),
    eventOf: () => {
      throw new TypeError('No message was signed');
    },
    blobs: blobsOf(realm),
    ...(watch !== undefined && { watch }),
  });
  if (isFromSnapshot) {
    for (let shard = 0; shard < realm.bus.shards; shard += 1) await replayer.restore(shard);
  }
  for (const message of messagesOf(realm)) {
    const divergence = await replayer.take(message);
    if (divergence !== undefined) return { replayer, divergence };
  }
  return { replayer, divergence: undefined };
}

async function isWhole(t: ExecutionContext, realm: TestRealm, isFromSnapshot: boolean): Promise<Replayer> {
  const { replayer, divergence } = await replayed(realm, { isFromSnapshot });
  t.is(divergence, undefined);
  t.is(replayer.digests, replayer.commits);
  return replayer;
}

const order = fc.record({
  to: fc.nat(5),
  what: fc.constantFrom('note', 'post', 'later', 'spawn', 'toKid', 'unspawn', 'call', 'throw', 'big', 'move'),
  n: fc.nat(9),
});

test('children, timers, effects, mail, throws, big bodies, migrations, crashes: all digests are made again (R1)', async (t) => {
  const orders = fc.array(order, { minLength: 20, maxLength: 60 });
  const snapshots = fc.constantFrom(4, 25, 1_000_000);
  await fc.assert(
    fc.asyncProperty(orders, snapshots, async (wanted, snapshotEveryEntries) => {
      await using realm = await realmOf({ snapshotEveryEntries, residentMax: 1 });
      for (const [at, { to, what, n }] of wanted.entries()) {
        const address = `worker/w${to}`;
        const other = `worker/w${(to + n) % 6}`;
        const event = {
          note: { type: 'note', n },
          post: { type: 'post', to: other, event: { type: 'note', n } },
          later: { type: 'later', n, ms: 50 * n },
          spawn: { type: 'spawn', id: `k${at}` },
          toKid: { type: 'toKid', id: 'k0', event: { type: 'inc' } },
          unspawn: { type: 'unspawn', id: 'k0' },
          call: { type: 'call' },
          throw: { type: 'throw' },
          big: { type: 'keep', value: String(n).repeat(BYTES_MAX) },
          move: { type: 'move', child: { to: other, machine: 'worker@2' } },
        }[what];
        realm.send(address, event);
        await realm.idle();
        if (n === 0) {
          realm.crash();
          await realm.restart();
        }
        await realm.advance(n * 20);
      }
      const whole = await isWhole(t, realm, false);
      const rest = await isWhole(t, realm, true);
      t.is(rest.actors, whole.actors);
      t.true(rest.commits <= whole.commits);
      if (snapshotEveryEntries === 4) t.true(rest.commits < whole.commits, 'a snapshot spares commits');
    }),
    { numRuns: cases(25, 10), verbose: true },
  );
});

test('a commit of several actors whose context alone differs names who it may be, with the states around', async (t) => {
  await using realm = await realmOf({}, 1);
  for (const id of ['a', 'b']) await realm.ask(`worker/${id}`, { type: 'note', n: 1 });
  // What waits together is committed together.
  for (const id of ['a', 'b']) realm.send(`worker/${id}`, { type: 'keep', value: { now: 1 } });
  await realm.idle();
  const { divergence } = await replayed(realm, { registry: edited(realm) });
  t.like(divergence, {
    isExact: false,
    before: { context: { kept: null } },
    after: { context: { kept: 'edited' } },
  });
  t.deepEqual(divergence?.suspects, ['worker/a', 'worker/b']);
});

test('a divergence is told with the states right before and after its entry, whatever its actor does in the same commit', async (t) => {
  for (const at of [0, 2, 3]) {
    await using realm = await realmOf({}, 1);
    for (const id of ['a', 'b']) await realm.ask(`worker/${id}`, { type: 'note', n: 0 });
    // What waits together is committed together: three entries of one actor, and another's between them.
    for (const [n, id] of ['a', 'b', 'a', 'a'].entries()) {
      realm.send(`worker/${id}`, n === at ? { type: 'keep', value: 1 } : { type: 'note', n });
    }
    await realm.idle();
    const { divergence } = await replayed(realm, { registry: edited(realm, { type: 'call' }) });
    const seen = [0, ...[0, 2, 3].filter((n) => n < at)];
    t.like(divergence, {
      n: at,
      actor: 'worker/a',
      isExact: true,
      recorded: { after: 'idle' },
      replayed: { after: 'calling' },
    });
    const around = { machine: 'worker@1', status: 'active', context: { seen, by: [], kept: null } };
    t.deepEqual(divergence?.before, { ...around, value: 'idle' });
    t.deepEqual(divergence?.after, { ...around, value: 'calling' });
  }
});

/** The registry, with a machine that hears something else than to keep what it is told. */
function edited(
  { registry }: TestRealm,
  instead: { readonly type: string; readonly value?: unknown } = { type: 'keep', value: 'edited' },
): TestRealm['registry'] {
  const machine = registry.byRef('worker@1');
  const other: typeof machine = {
    ...machine,
    initial: (input, context) => machine.initial(input, context),
    step: (state, event, context) => machine.step(state, event.type === 'keep' ? instead : event, context),
    persist: (state) => machine.persist(state),
    restore: (persisted) => machine.restore(persisted),
  };
  return Object.assign(Object.create(registry) as typeof registry, {
    byRef: (ref: string) => (ref === 'worker@1' ? other : registry.byRef(ref)),
    machine: (name: string, version?: number) =>
      name === 'worker' && version !== 2 ? other : registry.machine(name, version),
  });
}

test('steps are walked with the keys of a terminal, and the terminal is given back', async (t) => {
  await using realm = await realmOf({}, 1);
  const steps: ReplayStep[] = [];
  for (const n of [1, 2, 3]) await realm.ask('worker/a', { type: 'note', n });
  await replayed(realm, {
    watch: (place, entry, { after }, before) => {
      if (entry.actor !== 'worker/a') return;
      steps.push({ ...place, entry, ...(before && { before }), ...(after && { after }) });
    },
  });
  t.is(steps.length, 3);
  const modes: boolean[] = [];
  const stdin = Object.assign(new Readable({ read() {} }), {
    isTTY: true,
    setRawMode: (mode: boolean) => modes.push(mode),
  });
  const screens: string[] = [];
  const stdout = new Writable({
    write(chunk, _, done) {
      screens.push(String(chunk));
      done();
    },
  });
  const io = {
    stdin,
    stdout,
    stderr: stdout,
    env: {},
    cwd: '/',
    self: [],
    signal: new AbortController().signal,
  };
  const walked = showSteps(steps, io, { palette: palette(false), now: 0 });
  for (const key of ['n', 'n', 'n', 'p', '\u001b[H', 'q']) {
    stdin.push(key);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await walked;
  const positions = screens.map((screen) => /(\d) of 3/.exec(screen)?.[1]);
  t.deepEqual(positions.slice(0, 6), ['1', '2', '3', '3', '2', '1']);
  t.regex(screens[1] ?? '', /context\.seen\.1 {2}absent {2}\+ 2/);
  t.deepEqual(modes, [true, false]);
});
