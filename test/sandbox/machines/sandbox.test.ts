/** The life of a sandboxed task, with a driver of the test's own: steps, retries, the end of a grant, crashes. */
import test from 'ava';
import { component } from '#machines/component';
import { sandbox } from '#machines/sandbox';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import type { SandboxRun, SandboxView } from '#schemas/sandbox';
import type { ComponentView } from '#schemas/service-contract';

const SHA = 'c'.repeat(64);
const { jail_died } = errorKinds({ jail_died: { retryable: true, help: '' } });

type Wanted = { readonly want: 'turn' | 'prepare' | 'run' | 'revoke'; readonly revoked?: boolean };

function runOf(changes: Partial<SandboxRun> = {}): SandboxRun {
  return {
    exit: 'done',
    fault: null,
    retryable: false,
    message: null,
    component: SHA,
    at: 0,
    fuel: 42,
    memoryBytes: 65_536,
    ms: 3,
    hostCalls: 0,
    output: { text: 'ok' },
    outputSha256: SHA,
    transcript: null,
    logs: [],
    level: 'full',
    ...changes,
  };
}

async function submitted(run: (input: Wanted) => Promise<unknown>, heard: string[] = []): Promise<TestRealm> {
  const realm = await testRealm({
    machines: [component, sandbox],
    drivers: {
      sandbox: async ({ input }) => {
        const wanted = input as Wanted;
        heard.push(wanted.want);
        if (wanted.want === 'run' || wanted.want === 'turn') return (await run(wanted)) ?? {};
        return {};
      },
    },
  });
  const from = 'operator/o';
  const contract = { name: 'wc', submitters: ['session/*'] };
  await realm.ask('component/wc', { type: 'component.publish', contract, sha256: SHA, bytes: 1 }, { from });
  await realm.ask('component/wc', { type: 'component.submit', task: {} }, { from: 'session/a' });
  await realm.idle();
  return realm;
}

async function view(realm: TestRealm): Promise<SandboxView> {
  return (await realm.ask('sandbox/wc.1', { type: 'sandbox.get' })).reply as SandboxView;
}

test('a task takes its turn, is made ready and runs, and its component hears how it went', async (t) => {
  const heard: string[] = [];
  await using realm = await submitted(async ({ want }) => (want === 'run' ? runOf() : {}), heard);
  t.deepEqual(heard, ['turn', 'prepare', 'run']);
  t.like(await view(realm), { status: 'done', attempts: 1, run: { exit: 'done', fuel: 42, component: SHA } });
  const { reply } = await realm.ask('component/wc', { type: 'component.get' });
  t.like((reply as ComponentView).slo, { runs: 1, successRate: 1, availability: 1 });
  const end = { type: 'sandbox.kill', reason: 'late' };
  t.like((await realm.ask('sandbox/wc.1', end, { from: 'operator/o' })).reply, { code: 'sandbox_ended' });
});

test('what the guest did to itself is not tried again; what the chassis did is, so often', async (t) => {
  const trapped = runOf({ exit: 'task_trapped', fault: 'component', output: null, message: 'unreachable' });
  {
    const heard: string[] = [];
    await using realm = await submitted(async ({ want }) => (want === 'run' ? trapped : {}), heard);
    t.like(await view(realm), { status: 'failed', attempts: 1, run: { exit: 'task_trapped' } });
    t.is(heard.length, 3);
  }
  {
    await using realm = await submitted(async ({ want }) => {
      if (want === 'turn') return {};
      return runOf({ exit: 'jail_died', fault: 'chassis', retryable: true, output: null });
    });
    t.like(await view(realm), { status: 'queued', attempts: 1, run: { exit: 'jail_died' } });
    await realm.advance('1m');
    await realm.idle();
    await realm.advance('1m');
    await realm.idle();
    t.like(await view(realm), { status: 'failed', attempts: 3 });
    const { reply } = await realm.ask('component/wc', { type: 'component.get' });
    t.like((reply as ComponentView).slo, { runs: 3, successRate: null, availability: 0 });
  }
});

test('an error of the driver itself is an attempt too', async (t) => {
  let first = true;
  await using realm = await submitted(async ({ want }) => {
    if (want === 'turn') return {};
    if (!first) return runOf();
    first = false;
    throw new FabricError({ ...jail_died, retryable: false }, 'gone');
  });
  t.like(await view(realm), { status: 'failed', run: { exit: 'jail_died', fault: 'chassis', fuel: 0 } });
});

test('who submitted it and who steers kill it and take its grant back; nobody else does', async (t) => {
  const heard: string[] = [];
  const runs: Wanted[] = [];
  const done = Promise.withResolvers<SandboxRun>();
  await using realm = await submitted(async (wanted) => {
    if (wanted.want === 'turn') return {};
    runs.push(wanted);
    return await done.promise;
  }, heard);
  const say = async (from: string, type: string): Promise<unknown> =>
    (await realm.ask('sandbox/wc.1', { type, reason: 'enough' }, { from })).reply;
  t.like(await view(realm), { status: 'running' });
  t.like(await say('session/b', 'sandbox.revoke'), { accepted: false, code: 'sandbox_not_permitted' });
  t.like(await say('session/a', 'sandbox.revoke'), { accepted: true, status: 'running' });
  await realm.idle();
  t.is(heard.at(-1), 'revoke');
  t.like(await view(realm), { revoked: 'session/a: enough' });
  done.resolve(runOf({ exit: 'jail_died', fault: 'chassis', retryable: true }));
  await realm.idle();
  await realm.advance('1m');
  await realm.idle();
  t.deepEqual(
    runs.map(({ revoked }) => revoked),
    [false, true, true],
    'later attempts begin without it',
  );
  const { task } = await view(realm);
  const another = await realm.ask('sandbox/wc.2', { type: 'sandbox.begin', task }, { from: 'session/a' });
  t.is(another.value, 'absent', 'only its component begins a task');
});

test('a killed task hears nothing more of its run', async (t) => {
  const done = Promise.withResolvers<SandboxRun>();
  await using realm = await submitted(async ({ want }) => (want === 'turn' ? {} : await done.promise));
  const kill = { type: 'sandbox.kill', reason: 'too long' };
  t.like((await realm.ask('sandbox/wc.1', kill, { from: 'operator/o' })).reply, { status: 'killed' });
  done.resolve(runOf());
  await realm.idle();
  t.like(await view(realm), { status: 'killed', reason: 'operator/o: too long', run: null });
  const { reply } = await realm.ask('component/wc', { type: 'component.get' });
  t.is((reply as ComponentView).slo.runs, 0, 'that says nothing of the component');
});
