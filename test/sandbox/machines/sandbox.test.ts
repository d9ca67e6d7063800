/** The life of a sandboxed task, with a driver of the test's own: steps, retries, the end of a grant, crashes. */
import test from 'ava';
import { component } from '#machines/component';
import { sandbox } from '#machines/sandbox';
import { initialSandbox } from '#machines/sandbox/context';
import { AGAIN, decideSandbox } from '#machines/sandbox/decide';
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

async function view(realm: TestRealm, from = 'session/a'): Promise<SandboxView> {
  return (await realm.ask('sandbox/wc.1', { type: 'sandbox.get' }, { from })).reply as SandboxView;
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
  for (const event of [{ type: 'sandbox.begin', task }, { type: 'sandbox.begin' }, { type: 'sandbox.other' }])
    await t.throwsAsync(
      realm.ask('sandbox/wc.2', event, { from: 'session/a' }),
      { code: 'unknown_sandbox' },
      'only its component brings a task to life',
    );
});

test('what went in and came out is shown to who submitted it, its tenant and who steers', async (t) => {
  await using realm = await submitted(async ({ want }) => (want === 'run' ? runOf() : {}));
  for (const from of ['session/a', 'operator/x', 'component/wc'])
    t.like(await view(realm, from), { run: { output: { text: 'ok' } } });
  for (const from of ['session/b', 'sandbox/wc.1', 'component/other'])
    await t.throwsAsync(view(realm, from), { code: 'sandbox_not_permitted' });
  const task = { tenant: 'session/t' };
  const submit = { type: 'component.submit', task };
  await realm.ask('component/wc', submit, { from: 'operator/o' });
  await realm.idle();
  const get = { type: 'sandbox.get' };
  t.like((await realm.ask('sandbox/wc.2', get, { from: 'session/t' })).reply, { status: 'done' });
});

test('a component that was given less than its contract has is not judged by how it fails', async (t) => {
  const trapped = runOf({ exit: 'task_trapped', fault: 'component', output: null });
  let outcome = trapped;
  await using realm = await submitted(async ({ want }) => (want === 'run' ? outcome : {}));
  const slo = async () => {
    await realm.idle();
    return ((await realm.ask('component/wc', { type: 'component.get' })).reply as ComponentView).slo;
  };
  t.like(await slo(), { runs: 1, successRate: 0 });
  const submit = async (task: object) =>
    await realm.ask('component/wc', { type: 'component.submit', task }, { from: 'session/a' });
  await submit({ limits: { fuel: 1 } });
  await submit({ grant: { ttlMs: 1 } });
  t.is((await slo()).runs, 1, 'whoever gives less cannot speak against it');
  outcome = runOf();
  await submit({ limits: { fuel: 100 } });
  t.is((await slo()).runs, 2);
});

test('nothing brings a task back that has ended', (t) => {
  const heard = (type: string) => ({
    event: { type, output: runOf(), error: { code: 'x', message: '', retryable: true } },
    self: 'sandbox/wc.1',
    at: 9,
    from: 'sandbox/wc.1',
  });
  const killed = { ...initialSandbox({}, 'sandbox/wc.1'), status: 'killed' as const, endedAt: 5 };
  for (const step of ['turn', 'prepare', 'run'])
    for (const kind of ['done', 'error'])
      t.deepEqual(decideSandbox(killed, heard(`xstate.${kind}.actor.${step}`)), {});
  t.deepEqual(decideSandbox(killed, heard(`xstate.timer.${AGAIN}`)), {});
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
