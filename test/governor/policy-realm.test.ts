/** A policy over a real node: applied by a file and by hand, held claims answered and timed out, and all of it replayed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { authorize } from '#actors/governor/policy/authorize';
import type { Client } from '#runtime/client/node';
import { FabricError } from '#schemas/fabric-error';
import type { PolicyView } from '#schemas/policy';
import { CliFolder, type Ended } from '../rig/cli.ts';
import { TestRealm } from '../rig/realm.ts';

const SLOW_MS = 240_000;
const open = (machine: string) => ({ machine, door: 'open', spawnOnMessage: true });
const CONFIG = {
  kinds: Object.fromEntries(
    ['board', 'task', 'session', 'approval', 'policy'].map((name) => [name, open(name)]),
  ),
  drivers: { policy: { file: 'policy.yaml' } },
};
const TEXT = `
policy: 1
default: allow
approval: { approvers: ['operator/*'] }
rules:
  - { id: people, effect: allow, actions: [apply-policy, override], who: { kinds: [operator] } }
  - { id: dear, effect: require-approval, actions: [claim], cost: { above: 50 } }
  - { id: hasty, effect: require-approval, actions: [claim], on: { ids: [task/late] }, approval: { wait: 1s } }
  - { id: skilled, effect: deny, actions: [claim], who: { weight: { below: 0.5 } } }
`;

interface Place {
  readonly t: ExecutionContext;
  readonly folder: CliFolder;
  readonly realm: TestRealm;
}

/** Runs a command on the realm. */
async function cli({ folder, realm }: Place, ...args: string[]): Promise<Ended> {
  return await folder.run([...args, '--data', realm.dataDir]);
}

async function ok(place: Place, ...args: string[]): Promise<string> {
  const { code, out, err } = await cli(place, ...args);
  place.t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
  return out;
}

async function refused(place: Place, code: string, ...args: string[]): Promise<void> {
  const { code: exit, out, err } = await cli(place, ...args);
  place.t.not(exit, 0, out);
  place.t.regex(err, new RegExp(`error\\[${code}\\]`), `${args.join(' ')}\n${out}${err}`);
}

async function view(place: Place): Promise<PolicyView> {
  return JSON.parse(await ok(place, 'policy', 'show', '--json')) as PolicyView;
}

/** Listens from now on. */
async function heard(client: Client, address: string, wanted: string): Promise<void> {
  for await (const { event } of client.watch(address)) if (event === wanted) return;
}

test('a policy over a real node', async (t) => {
  t.timeout(SLOW_MS);
  await using folder = new CliFolder();
  const file = join(folder.path, 'policy.yaml');
  writeFileSync(file, TEXT);
  await using realm = await TestRealm.start({ config: CONFIG, folder: folder.path });
  const place = { t, folder, realm };
  const people = await realm.client({ from: 'operator/ann' });
  const worker = await realm.client({ from: 'session/ndi' });
  const stranger = await realm.client({ from: 'agent/x' });
  const claim = async (id: string) =>
    (await worker.ask(`task/${id}`, { type: 'task.claim' })).reply as Record<string, unknown>;

  // The file is in force as soon as it is there.
  if (realm.events.every(({ event }) => event !== 'policy.in_force')) await realm.event('policy.in_force');
  const applied = await view(place);
  t.like(applied.active, { version: 1, by: 'node/policy-file', text: TEXT, source: 'policy.yaml' });

  await worker.ask('session/ndi', { type: 'session.register' });
  const tasks = [
    { id: 'cheap', estimate: { cost: 5 } },
    { id: 'dear', estimate: { cost: 80 } },
    { id: 'late', estimate: { cost: 1 } },
  ];
  await people.ask('board/main', { type: 'board.add', tasks });
  // Tasks hear from their board by mail.
  for (const { id } of tasks) {
    for (;;) {
      const reply = await people.ask(`task/${id}`, { type: 'task.get' }).catch((thrown: unknown) => thrown);
      if (!(reply instanceof FabricError)) break;
      t.is(reply.code, 'unknown_task');
    }
  }
  t.true((await claim('cheap'))['accepted']);

  // A person lets it go on, once, under their key.
  const claimed = heard(people, 'task/dear', 'task.claimed');
  const waits = await claim('dear');
  t.is(waits['code'], 'approval_required');
  const id = String(waits['approval']).replace('approval/', '');
  t.regex(await ok(place, 'approve', 'list'), /May session\/ndi claim on task\/dear\?/);
  await refused(place, 'approval_foreign', 'approve', 'yes', id, '--as', 'person/bob');
  await ok(place, 'approve', 'yes', id, '--as', 'operator/ann', '--reason', 'worth it');
  await claimed;
  t.like((await people.ask('task/dear', { type: 'task.get' })).reply, { worker: 'session/ndi' });
  await refused(place, 'approval_stale', 'approve', 'no', id, '--as', 'operator/ann');

  // Nobody answers.
  const late = String((await claim('late'))['approval']);
  const over = heard(people, late, 'approval.timed_out');
  const pending = (await people.ask(late, { type: 'approval.get' })).reply as {
    approval: { status: string };
  };
  if (pending.approval.status === 'pending') await over;
  t.like((await people.ask(late, { type: 'approval.get' })).reply, {
    approval: { status: 'timed_out', verdict: 'no' },
  });
  t.like((await people.ask('task/late', { type: 'task.get' })).reply, { status: 'available', worker: null });

  // A bad file changes nothing; the next good one does.
  const complaint = realm.event('policy.file_refused', SLOW_MS);
  writeFileSync(file, `${TEXT}  - { id: oops }\n`);
  t.regex(String((await complaint)['error']), /policy\.yaml:10:/);
  t.is((await view(place)).active?.version, 1);
  const inForce = realm.event('policy.in_force', SLOW_MS);
  writeFileSync(file, `${TEXT}  - { id: none, effect: deny, actions: [retry], because: enough }\n`);
  await inForce;
  await t.throwsAsync(worker.ask('task/cheap', { type: 'task.retry' }), { message: /none: enough/ });

  // By hand, over the version that one knows.
  const strict = join(folder.path, 'strict.yaml');
  writeFileSync(strict, TEXT.replace('default: allow', 'default: deny'));
  await refused(place, 'policy_denied', 'policy', 'apply', strict, '--reason', 'x', '--as', 'session/ndi');
  await refused(place, 'policy_moved', 'policy', 'apply', strict, '--reason', 'x', '--base', '1');
  const dry = await ok(place, 'policy', 'dry-run', strict, '--since', '1h', '--json');
  const others = dry
    .trim()
    .split('\n')
    .map(
      (line) =>
        JSON.parse(line) as { request: { action: string }; would: { outcome: string }; facts: string },
    );
  t.true(
    others.some(
      ({ request, would, facts }) =>
        request.action === 'claim' && would.outcome === 'deny' && facts === 'entry',
    ),
  );
  t.true(others.some(({ request }) => request.action === 'add'));
  t.regex(await ok(place, 'policy', 'apply', strict, '--reason', 'be strict'), /version 3 is in force/);
  await t.throwsAsync(worker.ask('task/cheap', { type: 'task.retry' }), {
    message: /no rule allows "retry"/,
  });

  // Components without a door.
  await t.throwsAsync(
    authorize(people, { action: 'sip-call', who: { address: 'bridge/sip' }, on: { address: 'person/x' } }),
    { message: /privileged/ },
  );

  // In force from the first moment of the next life, before anything was said.
  await realm.kill();
  await realm.up();
  await t.throwsAsync(stranger.ask('task/cheap', { type: 'task.override', reason: 'x' }), {
    message: /may not override/,
  });
  t.regex(await ok(place, 'replay'), /agree|same|✓/);
  await ok(place, 'verify', '--chain-only');
});
