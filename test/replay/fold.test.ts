/** R1 and R2 of runtime/replay/replayer.ts on realms in memory: everything that a log can hold. */
import { Readable, Writable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { decodeCommit } from '#runtime/bus/codec';
import { palette } from '#runtime/cli/render/palette';
import { showSteps } from '#runtime/cli/step-view';
import type { Machine, MachineAction } from '#runtime/machine/types';
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
  what: fc.constantFrom(
    ...([
      'note',
      'post',
      'later',
      'spawn',
      'toKid',
      'unspawn',
      'call',
      'throw',
      'big',
      'move',
      'due',
    ] as const),
    ...(['effect', 'cancel', 'start', 'stillborn', 'halt', 'announce', 'finish', 'fail'] as const),
  ),
  n: fc.nat(9),
});

test('children, timers, effects, mail, throws, big bodies, migrations, crashes: all is made again (R1)', async (t) => {
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
          due: { type: 'post', to: other, event: { type: 'note', n }, delay: 20 * n, id: `d${n % 2}` },
          effect: { type: 'effect', n },
          cancel: { type: 'cancel', id: `d${n % 2}` },
          start: { type: 'start', child: { to: other, childId: `c${to}`, machine: 'worker@1' } },
          stillborn: { type: 'start', child: { to: `worker/no${at}`, childId: 'no', machine: 'nobody@1' } },
          halt: { type: 'halt', child: { to: other } },
          announce: { type: 'announce' },
          finish: { type: 'finish' },
          fail: { type: 'fail' },
        }[what];
        realm.send(address, event);
        // What waits together is committed together.
        if (n % 2 === 0) await realm.idle();
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

const MAIL = { to: 'worker/c', event: { type: 'keep', n: 1 } };

/** Orders, and how the same machine carries them out after it was edited: what a digest of states does not show. */
const EDITS: Readonly<
  Record<string, { readonly order: { readonly type: string }; readonly edit: Edit; readonly parts: object }>
> = {
  'another reply': {
    order: { type: 'note' },
    edit: (action) => (action.kind === 'reply' ? [{ ...action, body: { count: -1 } }] : [action]),
    parts: { recorded: { reply: { count: 1 } }, replayed: { reply: { count: -1 } } },
  },
  'no reply': {
    order: { type: 'note' },
    edit: (action) => (action.kind === 'reply' ? [] : [action]),
    parts: { recorded: { reply: { count: 1 } }, replayed: { reply: undefined } },
  },
  'mail to another': {
    order: { type: 'post', ...MAIL },
    edit: (action) => (action.kind === 'send' ? [{ ...action, to: 'worker/mallory' }] : [action]),
    parts: { recorded: { mail: { to: 'worker/c' } }, replayed: { mail: { to: 'worker/mallory' } } },
  },
  'another mail': {
    order: { type: 'post', ...MAIL },
    edit: (action) => (action.kind === 'send' ? [{ ...action, event: { ...action.event, n: 2 } }] : [action]),
    parts: { recorded: { mail: { event: { n: 1 } } }, replayed: { mail: { event: { n: 2 } } } },
  },
  'more mail': {
    order: { type: 'post', ...MAIL },
    edit: (action) => (action.kind === 'send' ? [action, { ...action, to: 'worker/mallory' }] : [action]),
    parts: { recorded: { mail: { to: 'worker/d' } }, replayed: { mail: { to: 'worker/mallory' } } },
  },
  'no mail': {
    order: { type: 'post', ...MAIL },
    edit: (action) => (action.kind === 'send' ? [] : [action]),
    parts: { recorded: { mail: { to: 'worker/c' } }, replayed: { mail: { to: 'worker/d' } } },
  },
  'another effect': {
    order: { type: 'effect', ...{ n: 1 } },
    edit: (action) => (action.kind === 'effect' ? [{ ...action, input: { n: 1_000_000 } }] : [action]),
    parts: { recorded: { effects: { input: { n: 1 } } }, replayed: { effects: { input: { n: 1_000_000 } } } },
  },
  'another time': {
    order: { type: 'post', ...MAIL, ...{ delay: 50 } },
    edit: (action) => (action.kind === 'send' ? [{ ...action, delayMs: 60 }] : [action]),
    parts: { recorded: { timers: { to: 'worker/c' } }, replayed: { timers: { to: 'worker/c' } } },
  },
  'another line': {
    order: { type: 'announce' },
    edit: (action) => (action.kind === 'log' ? [{ ...action, message: 'said otherwise' }] : [action]),
    parts: {
      recorded: { log: [{ message: 'said so' }] },
      replayed: { log: [{ message: 'said otherwise' }] },
    },
  },
};

for (const [what, { order: given, edit, parts }] of Object.entries(EDITS)) {
  test(`a machine edited without a new version parts from the log at its entry: ${what}`, async (t) => {
    await using realm = await realmOf({}, 1);
    for (const id of ['a', 'b', 'c', 'd', 'mallory'])
      await realm.ask(`worker/${id}`, { type: 'keep', value: 0 });
    // What waits together is committed together.
    realm.send('worker/b', { type: 'keep', value: 1 });
    realm.send('worker/a', given);
    realm.send('worker/b', { type: 'post', to: 'worker/d', event: { type: 'keep', value: 1 } });
    await realm.idle();
    t.is((await replayed(realm)).divergence, undefined);
    const only: Edit = (action, self) => (self === 'worker/a' ? edit(action, self) : [action]);
    const { divergence } = await replayed(realm, { registry: acting(realm, only) });
    t.like(divergence, {
      n: 1,
      actor: 'worker/a',
      machine: 'worker@1',
      isExact: true,
      event: given,
      ...parts,
    });
    t.is((await replayed(realm, { registry: acting(realm, only), isFromSnapshot: true })).divergence?.n, 1);
  });
}

test('mail that no machine asked for, and what comes after it in the commit, is no divergence', async (t) => {
  await using realm = await realmOf({}, 1);
  await realm.ask('worker/a', { type: 'note' });
  realm.send('worker/a', { type: 'post', to: 'worker/b', event: { type: 'note', n: 7 }, delay: 20 });
  await realm.idle();
  await realm.advance(20);
  // What waits together is committed together: the child of the second order then has the second place among the mail.
  realm.send('worker/a', { type: 'start', child: { to: 'worker/c', childId: 'c', machine: 'nobody@1' } });
  realm.send('worker/a', { type: 'post', to: 'worker/b', event: { type: 'spawn', id: 'kid' } });
  await realm.idle();
  const commits = messagesOf(realm).map(({ bytes }) => decodeCommit(bytes));
  const of = (op: string): number[] =>
    commits.flatMap(({ entries, mail }) =>
      entries.some((entry) => entry.op === op) ? [mail?.length ?? 0] : [],
    );
  t.deepEqual([of('note'), of('dead')], [[1], [2]]);
  await isWhole(t, realm, false);
});

type Edit = (action: MachineAction, self: string) => readonly MachineAction[];

/** The registry, with a machine that asks the kernel for something else. */
function acting({ registry }: TestRealm, edit: Edit): TestRealm['registry'] {
  const machine = registry.byRef('worker@1');
  return withMachine(registry, {
    step: (state, event, context) => {
      const step = machine.step(state, event, context);
      return { ...step, actions: step.actions.flatMap((action) => edit(action, context.self)) };
    },
  });
}

/** The registry, with a machine that hears something else than to keep what it is told. */
function edited(
  { registry }: TestRealm,
  instead: { readonly type: string; readonly value?: unknown } = { type: 'keep', value: 'edited' },
): TestRealm['registry'] {
  const machine = registry.byRef('worker@1');
  return withMachine(registry, {
    step: (state, event, context) => machine.step(state, event.type === 'keep' ? instead : event, context),
  });
}

function withMachine(
  registry: TestRealm['registry'],
  { step }: Pick<Machine, 'step'>,
): TestRealm['registry'] {
  const machine = registry.byRef('worker@1');
  const other: Machine = {
    ...machine,
    initial: (input, context) => machine.initial(input, context),
    step,
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
