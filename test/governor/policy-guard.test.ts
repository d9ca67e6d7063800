/** The policy at the doors: what it lets in, keeps out and holds, in a realm in memory; and the actor that has it. */
import test, { type ExecutionContext } from 'ava';
import { type InForce, PolicyGuard } from '#actors/governor/policy/guard';
import { compilePolicy } from '#actors/governor/policy/policy';
import { requestOf, type SessionFacts } from '#actors/governor/policy/request';
import { approval } from '#machines/approval';
import { initialLedger } from '#machines/ledger/context';
import { decideLedger } from '#machines/ledger/decide';
import { rowOf } from '#machines/ledger/table';
import { policy } from '#machines/policy';
import { swarm } from '#machines/swarm';
import { task } from '#machines/task';
import { newSeed, type SigningKey, signingKey, signMessage } from '#runtime/edge/sign';
import { stampMessage } from '#runtime/edge/stamp';
import { type LoggedEntry, type TestRealm, testRealm } from '#runtime/testing/testing';
import type { ApprovalReply, ApprovalView } from '#schemas/approval';
import type { LedgerReply } from '#schemas/budget';
import { FabricError } from '#schemas/fabric-error';
import { MICROS_MAX, type PolicyView } from '#schemas/policy';

const NOW = Date.parse('2026-01-05T00:00:00Z');
const TEXT = `
policy: 1
default: allow
approval: { wait: 10m, approvers: [operator/*] }
rules:
  - { id: people, effect: allow, actions: [apply-policy, override], who: { kinds: [operator] } }
  - { id: dear, effect: require-approval, actions: [claim], cost: { above: 50 } }
  - { id: calls, effect: require-approval, actions: [sip-call], approval: { wait: 1m, default: yes, approvers: [operator/ann] } }
  - { id: unskilled, effect: deny, actions: [claim], who: { weight: { below: 0.5 } } }
`;

const ann = signingKey(newSeed());
const bob = signingKey(newSeed());
const ndi = signingKey(newSeed());
const owners = new Map<string, SigningKey>([
  ['operator/ann', ann],
  ['person/bob', bob],
  ['session/ndi', ndi],
]);

class World implements AsyncDisposable {
  inForce: InForce | undefined;
  facts: { get(id: string): SessionFacts | undefined } | undefined = { get: () => undefined };
  hasApprovals = true;
  installs: (input: { version: number; text: string }) => Promise<unknown> = async ({ version, text }) => {
    const compiled = await compilePolicy(text);
    this.inForce = { version, policy: compiled };
    return { version, sha256: compiled.sha256 };
  };
  readonly realm: TestRealm;
  #seq = 0;

  private constructor(realm: TestRealm) {
    this.realm = realm;
  }

  static async open(text?: string): Promise<World> {
    let world: World | undefined;
    const here = () => world as World;
    const guard = new PolicyGuard({
      inForce: () => here().inForce,
      isKind: () => here().hasApprovals,
      sessions: () => here().facts,
      now: () => here().realm.clock.now(),
    });
    const realm = await testRealm({
      machines: [approval, policy, swarm, task],
      now: NOW,
      guard,
      keys: [...owners].map(([owner, { kid, publicKey }]) => ({
        kid,
        owner,
        publicKey: Buffer.from(publicKey).toString('base64url'),
        status: 'active' as const,
        addedAt: NOW,
      })),
      unsignedTypes: ['person'],
      drivers: {
        policy: ({ input }) => here().installs(input as { version: number; text: string }),
        lease: {
          waits: true,
          run: ({ signal }) => new Promise((_, no) => signal.addEventListener('abort', no)),
        },
        match: {
          waits: true,
          run: ({ signal }) => new Promise((_, no) => signal.addEventListener('abort', no)),
        },
      },
    });
    world = new World(realm);
    if (text !== undefined) world.inForce = { version: 1, policy: await compilePolicy(text) };
    return world;
  }

  async add(id: string, cost: number): Promise<void> {
    await this.realm.spawn(`task/${id}`, { input: { id, title: id, estimate: { cost } } });
  }

  async ask(from: string, address: string, event: object, id?: string): Promise<unknown> {
    const { reply } = await this.realm.ask(address, event, { from, ...(id !== undefined && { id }) });
    await this.realm.idle();
    return reply;
  }

  async claim(by: string, id: string, more: object = {}): Promise<Readonly<Record<string, unknown>>> {
    return (await this.ask(by, `task/${id}`, { type: 'task.claim', ...more })) as Record<string, unknown>;
  }

  /** The answer to an approval, signed by its owner's key or another. */
  async answer(
    from: string,
    address: string,
    content: object,
    options: { readonly key?: SigningKey | undefined; readonly unsigned?: boolean } = {},
  ): Promise<ApprovalReply> {
    const { key = owners.get(from), unsigned = false } = options;
    this.#seq += 1;
    const draft = {
      performative: 'inform' as const,
      from: `if://${from}`,
      to: [`if://${address}`],
      conversation: 'approvals',
      content: { action: 'answer', ...content },
    };
    const message = stampMessage(draft, { id: `m${this.#seq}`, now: this.realm.clock.now(), seq: this.#seq });
    const sent = unsigned || key === undefined ? message : signMessage(message, key);
    return (await this.ask(from, address, sent as never)) as ApprovalReply;
  }

  async approval(address: string): Promise<ApprovalView> {
    const reply = (await this.ask('operator/ann', address, { type: 'approval.get' })) as ApprovalReply;
    if (!reply.accepted) throw new Error(reply.reason);
    return reply.approval;
  }

  async taskOf(id: string): Promise<{ readonly status: string; readonly worker: string | null }> {
    return (await this.ask('operator/ann', `task/${id}`, { type: 'task.get' })) as never;
  }

  async entries(actor: string): Promise<readonly LoggedEntry[]> {
    return this.realm.log(actor);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.realm[Symbol.asyncDispose]();
  }
}

async function refused(t: ExecutionContext, asked: Promise<unknown>, code: string): Promise<FabricError> {
  const error = await t.throwsAsync(asked, { instanceOf: FabricError });
  t.is(error?.code, code, error?.message);
  return error as FabricError;
}

/** A dear claim that waits: its approval. */
async function held(
  t: ExecutionContext,
  world: World,
  by = 'session/ndi',
  id = 'dear',
): Promise<ApprovalView & { address: string }> {
  const reply = await world.claim(by, id);
  t.like(reply, { accepted: false, code: 'approval_required' });
  const address = String(reply['approval']);
  return { ...(await world.approval(address)), address };
}

test('without a policy all is as it was', async (t) => {
  await using world = await World.open();
  await world.add('dear', 80);
  t.true((await world.claim('session/ndi', 'dear'))['accepted']);
  const entries = await world.entries('task/dear');
  t.true(entries.every((entry) => entry.policy === undefined));
});

test('what is let in and kept out says so in its entry', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('cheap', 5);
  t.true((await world.claim('session/ndi', 'cheap'))['accepted']);
  const error = await refused(
    t,
    world.ask('session/ndi', 'task/cheap', { type: 'task.override', reason: 'x' }),
    'policy_denied',
  );
  t.like(error.details, { action: 'override', from: 'session/ndi', rules: ['default'], version: 1 });
  const notes = (await world.entries('task/cheap')).flatMap(({ policy: note, op }) =>
    note ? [{ ...note, op }] : [],
  );
  t.like(notes[0], { outcome: 'allow', rules: ['default'], version: 1, op: undefined });
  t.deepEqual(notes[0]?.request, {
    action: 'claim',
    who: { address: 'session/ndi', session: 'ndi', capabilities: [], tags: [] },
    on: { address: 'task/cheap', requires: [] },
    costMicros: 5_000_000,
  });
  t.like(notes[1], { outcome: 'deny', rules: ['default'], op: 'dead' });
  // The same as the content of an IFMessage.
  const message = {
    performative: 'request' as const,
    from: 'if://session/ndi',
    to: ['if://task/cheap'],
    conversation: 'c',
    content: { action: 'override', reason: 'x' },
  };
  const signed = signMessage(stampMessage(message, { id: 'z', now: NOW, seq: 1 }), ndi);
  await refused(t, world.ask('session/ndi', 'task/cheap', signed), 'policy_denied');
});

test('a yes lets the held action go on once, in the name of who asked', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('dear', 80);
  const waits = await held(t, world);
  t.like(waits, { status: 'pending', default: 'no', by: 'session/ndi' });
  t.like(waits.held, { to: 'task/dear', from: 'session/ndi', approvers: ['operator/*'] });
  t.is((await world.taskOf('dear')).status, 'available');
  const { digest } = waits.held ?? {};
  const yes = await world.answer('operator/ann', waits.address, {
    answer: 'yes',
    digest,
    reason: 'worth it',
  });
  t.true(yes.accepted);
  t.like(await world.taskOf('dear'), { status: 'claimed', worker: 'session/ndi' });
  const went = (await world.entries('task/dear')).filter(({ policy: note }) => note?.outcome === 'approved');
  t.is(went.length, 1);
  t.like(went[0], {
    cause: { kind: 'mail', from: 'session/ndi' },
    policy: { approval: waits.address, rules: ['dear'] },
  });
  const signed = (await world.entries(waits.address)).filter((entry) => entry.signed !== undefined);
  t.like(signed[0]?.signed, { kid: ann.kid, from: 'operator/ann' });
  // Again, also over another life of the node.
  world.realm.crash();
  await world.realm.restart();
  await refused(t, world.answer('operator/ann', waits.address, { answer: 'yes', digest }), 'approval_stale');
  t.is(
    (await world.entries('task/dear')).filter(({ policy: note }) => note?.outcome === 'approved').length,
    1,
  );
  t.like(await world.taskOf('dear'), { status: 'claimed', worker: 'session/ndi' });
});

test('a no, and silence, refuse it for ever; a default of yes lets it go on', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('dear', 80);
  const first = await held(t, world);
  const no = await world.answer('operator/ann', first.address, { answer: 'no', digest: first.held?.digest });
  t.true(no.accepted);
  const second = await held(t, world);
  t.not(second.address, first.address);
  await world.realm.advance('11m');
  t.like(await world.approval(second.address), { status: 'timed_out', verdict: 'no', answeredBy: null });
  await refused(
    t,
    world.answer('operator/ann', second.address, { answer: 'yes', digest: second.held?.digest }),
    'approval_stale',
  );
  t.is((await world.taskOf('dear')).status, 'available');
  world.inForce = {
    version: 2,
    policy: await compilePolicy(TEXT.replace('wait: 10m,', 'wait: 10m, default: yes,')),
  };
  const third = await held(t, world);
  await world.realm.advance('11m');
  t.like(await world.approval(third.address), { status: 'timed_out', verdict: 'yes' });
  t.like(await world.taskOf('dear'), { status: 'claimed', worker: 'session/ndi' });
});

test('a claim that is made again while it waits joins the approval that has it; people are asked once', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('dear', 80);
  const first = await held(t, world);
  t.is((await held(t, world)).address, first.address);
  const others = await held(t, world, 'session/sip');
  t.not(others.address, first.address, 'another worker’s claim is another question');
  // The task knows it, whatever becomes of the node.
  world.realm.crash();
  await world.realm.restart();
  t.is((await held(t, world)).address, first.address);
  t.like(await world.taskOf('dear'), {
    held: [
      { worker: 'session/ndi', approval: first.address },
      { worker: 'session/sip', approval: others.address },
    ],
  });
  // Nobody but an approval says what it holds.
  const forged = { type: 'task.held_claim', isPending: false, worker: 'session/ndi', policy: '' };
  await world.ask('session/x', 'task/dear', forged);
  t.is((await held(t, world)).address, first.address);
  // Another policy may ask others.
  const before = world.inForce;
  world.inForce = { version: 2, policy: await compilePolicy(`${TEXT}# with care\n`) };
  t.not((await held(t, world)).address, first.address);
  world.inForce = before;
  await world.answer('operator/ann', others.address, { answer: 'no', digest: others.held?.digest });
  const anew = await held(t, world, 'session/sip');
  t.not(anew.address, others.address, 'after a no it is a question again');
  await world.answer('operator/ann', first.address, { answer: 'yes', digest: first.held?.digest });
  t.like(await world.taskOf('dear'), { status: 'claimed', worker: 'session/ndi' });
  t.is(
    (await world.entries('task/dear')).filter(({ policy: note }) => note?.outcome === 'approved').length,
    1,
  );
});

test('an answer that is unsigned, foreign or about something else counts for nothing', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('dear', 80);
  const { address, held: what } = await held(t, world);
  const yes = { answer: 'yes', digest: what?.digest };
  await refused(
    t,
    world.ask('operator/ann', address, { type: 'approval.answer', ...yes }),
    'approval_unsigned',
  );
  await refused(t, world.answer('operator/ann', address, yes, { unsigned: true }), 'unsigned');
  await refused(t, world.answer('person/bob', address, yes, { unsigned: true }), 'approval_unsigned');
  await refused(t, world.answer('operator/ann', address, yes, { key: bob }), 'key_owner_mismatch');
  await refused(t, world.answer('person/bob', address, yes), 'approval_foreign');
  await refused(t, world.answer('session/ndi', address, yes), 'approval_foreign');
  await refused(t, world.answer('operator/ann', address, { answer: 'yes' }), 'approval_stale');
  await refused(
    t,
    world.answer('operator/ann', address, { ...yes, digest: 'f'.repeat(64) }),
    'approval_stale',
  );
  t.is((await world.approval(address)).status, 'pending');
  // The kernel's own events are nobody's to send.
  for (const type of ['policy.held', 'policy.released'])
    await refused(
      t,
      world.ask('operator/ann', 'task/dear', { type, from: 'session/x', event: {} }),
      'reserved_event',
    );
  t.is((await world.taskOf('dear')).status, 'available');
});

test('nobody is another by writing the event of a message', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('cheap', 5);
  await world.add('dear', 80);
  // A field of that name in a plain event is nothing: neither a sender, nor an action, nor a signature.
  const message = { from: 'if://operator/ann', content: { action: 'override', reason: 'x' } };
  t.like(await world.ask('session/x', 'task/cheap', { type: 'task.get', message }), { status: 'available' });
  const claim = { ...message, content: { action: 'claim' } };
  t.like(await world.ask('session/x', 'task/dear', { type: 'task.get', message: claim }), {
    status: 'available',
  });
  await refused(t, world.ask('session/x', 'task/cheap', { type: 'if.request', message }), 'reserved_event');
  const { address, held: what } = await held(t, world);
  const answer = { content: { action: 'answer', answer: 'yes', digest: what?.digest }, signature: {} };
  await refused(
    t,
    world.ask('operator/ann', address, { type: 'approval.answer', ...answer.content, message: answer }),
    'approval_unsigned',
  );
  // Where messages need no signature, who sent it counts and not who it says.
  const unsigned = stampMessage(
    {
      performative: 'request',
      from: 'if://person/bob',
      to: ['if://task/cheap'],
      conversation: 'c',
      content: { action: 'cancel' },
    },
    { id: 'u', now: NOW, seq: 1 },
  );
  t.like(await world.ask('session/x', 'task/cheap', unsigned), { accepted: false, code: 'not_yours' });
});

test('a claim cannot talk its cost down, nor hide it by its size', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('dear', 80);
  t.like(await world.claim('session/ndi', 'dear', { costMicros: 0 }), { code: 'approval_required' });
  t.like(await world.claim('session/ndi', 'dear', { amount: { micros: 0 } }), { code: 'approval_required' });
  const huge = { actor: 'task/dear', event: { type: 'task.claim', costMicros: 1e300 }, from: 'session/ndi' };
  t.is(requestOf('claim', huge, undefined).costMicros, MICROS_MAX);
});

test('what is asked of a ledger is about the budget that it names', (t) => {
  const asked = (account: unknown) =>
    requestOf(
      'reserve',
      { actor: 'ledger/main', event: { type: 'ledger.reserve', account }, from: 'session/x' },
      undefined,
    );
  t.is(asked('session:ndi').on?.address, 'budget/main:session:ndi');
  t.is(asked('../x').on?.address, 'ledger/main');
  t.is(asked(undefined).on?.address, 'ledger/main');
});

test('a draw that wants more than was let in is a reserve; one that books what was spent is asked by nobody', async (t) => {
  const text = `
policy: 1
default: allow
rules:
  - { id: people, effect: allow, actions: [set-budget], who: { kinds: [operator] } }
  - { id: dear, effect: deny, actions: [reserve], cost: { above: 5 } }
`;
  const inForce = { version: 1, policy: await compilePolicy(text) };
  using _ = inForce.policy;
  const guard = new PolicyGuard({ inForce: () => inForce, isKind: () => true, sessions: () => undefined });
  let context = initialLedger(undefined, 'ledger/main');
  const say = (action: string, more: object, from = 'session/ndi') => {
    const arrival = { actor: 'ledger/main', event: { type: `ledger.${action}`, ...more }, from };
    const verdict = guard.check({ ...arrival, context, place: () => '0' });
    if (verdict?.go === 'out') return { denied: verdict.note?.request };
    const heard = { event: arrival.event, self: 'ledger/main', at: 1_000, from };
    const { patch, reply } = decideLedger(context, heard);
    context = { ...context, ...patch };
    return { isAsked: verdict !== undefined, reply: reply as LedgerReply };
  };
  const unit = 1_000_000;
  const draw = (n: number, spent: number, hold: number, upTo = 0) =>
    say('draw', { id: 'r', n, spent: { micros: spent }, hold: { micros: hold }, upTo: { micros: upTo } });
  say('set', { account: 'realm', currency: 'EUR', limit: { micros: 100 * unit } }, 'operator/ann');
  t.like(say('reserve', { id: 'r', account: 'realm', amount: { micros: 4 * unit } }), { isAsked: true });
  t.like(draw(1, unit, 3 * unit), { isAsked: false, reply: { accepted: true } }, 'within');
  t.like(draw(2, unit, 5 * unit), { isAsked: true, reply: { accepted: true } }, 'more, and the rule lets it');
  const beyond = { action: 'reserve', on: { address: 'budget/main:realm' }, costMicros: 6 * unit };
  t.like(draw(3, unit, 6 * unit), { denied: beyond });
  t.like(draw(4, unit, 0, 6 * unit), { denied: beyond }, 'nor ahead of need');
  t.like(draw(5, 9 * unit, 0), { isAsked: false, reply: { accepted: true } }, 'more was spent than was held');
  t.like(say('commit', { id: 'r', amount: { micros: 9 * unit } }), { isAsked: false });
  t.like(rowOf(context.accounts, 'realm'), { total: { micros: 9 * unit }, reserved: { micros: 0 } });
});

test('nobody takes the name of an approval before it is needed', async (t) => {
  await using world = await World.open(TEXT);
  const request = { type: 'approval.request', question: 'x', default: 'yes', waitMs: 1_000 };
  await refused(t, world.ask('session/x', 'approval/held-0-7-0', request), 'approval_reserved');
  t.like(await world.ask('session/x', 'approval/mine', request), { accepted: true });
});

test('one sender does not bury the approvers', async (t) => {
  await using world = await World.open(TEXT);
  for (let n = 0; n <= 100; n += 1) await world.add(`dear${n}`, 80);
  for (let n = 0; n < 100; n += 1)
    t.like(await world.claim('session/ndi', `dear${n}`), { code: 'approval_required' });
  const error = await refused(t, world.claim('session/ndi', 'dear100'), 'too_many_held');
  t.true(error.retryable);
  t.like(await world.claim('session/ndi', 'dear0'), { code: 'approval_required' }, 'it is among them');
  t.like(await world.claim('session/sip', 'dear100'), { code: 'approval_required' });
  await world.realm.advance('11m');
  t.like(await world.claim('session/ndi', 'dear100'), { code: 'approval_required' });
});

test('a claim that waited has no lease: the one it came with has ended', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('dear', 80);
  const reply = await world.claim('session/ndi', 'dear', { lease: 'n1', revision: 7, leaseMs: 5_000 });
  const address = String(reply['approval']);
  const { held: what } = await world.approval(address);
  t.deepEqual(what?.event, { type: 'task.claim' });
  await world.answer('operator/ann', address, { answer: 'yes', digest: what?.digest });
  await world.realm.advance('1m');
  t.like(await world.taskOf('dear'), { status: 'claimed', worker: 'session/ndi' });
});

test('a repeated ask is held once', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('dear', 80);
  const event = { type: 'task.claim' };
  const first = (await world.ask('session/ndi', 'task/dear', event, 'same')) as { approval: string };
  world.realm.crash();
  await world.realm.restart();
  const again = (await world.ask('session/ndi', 'task/dear', event, 'same')) as { approval: string };
  t.is(again.approval, first.approval);
});

test('what cannot be decided is not let in', async (t) => {
  await using world = await World.open(TEXT);
  await world.add('dear', 80);
  world.hasApprovals = false;
  await refused(t, world.claim('session/ndi', 'dear'), 'policy_denied');
  world.hasApprovals = true;
  world.facts = undefined;
  const missing = await refused(t, world.claim('session/ndi', 'dear'), 'policy_facts_missing');
  t.true(missing.retryable);
  world.facts = { get: () => ({ capabilities: [], weight: 0.4, swarm: null }) };
  const weak = await refused(t, world.claim('session/ndi', 'dear'), 'policy_denied');
  t.deepEqual(weak.details['rules'], ['unskilled']);
  world.inForce = { version: 9, policy: undefined };
  await refused(t, world.claim('session/ndi', 'dear'), 'policy_unreadable');
  t.is((await world.taskOf('dear')).status, 'available');
});

test('versions take the place of the one that their author knew; a bad one changes nothing', async (t) => {
  await using world = await World.open();
  const apply = (base: number, text = TEXT, from = 'operator/ann') =>
    world.ask(from, 'policy/main', { type: 'policy.apply', text, base, reason: 'first rules' });
  await refused(t, apply(0, TEXT, 'session/ndi'), 'policy_denied');
  t.deepEqual(await apply(0), { accepted: true, version: 1 });
  const view = async () =>
    (await world.ask('operator/ann', 'policy/main', { type: 'policy.get' })) as PolicyView;
  t.like((await view()).active, { version: 1, by: 'operator/ann', reason: 'first rules', text: TEXT });
  await refused(t, apply(0), 'policy_moved');
  t.deepEqual(await apply(1, 'policy: 1\nrules: [oops]'), { accepted: true, version: 2 });
  t.like(await view(), { status: 'active', active: { version: 1 }, next: null, refused: { version: 2 } });
  t.regex((await view()).refused?.error ?? '', /:2:9: /);
  await refused(t, apply(1, TEXT, 'session/ndi'), 'policy_denied');
  t.deepEqual(await apply(1, `${TEXT}\n# newer`), { accepted: true, version: 3 });
  t.is((await view()).active?.version, 3);
  const severities = (await world.entries('policy/main')).map(({ severity }) => severity);
  t.true(severities.includes('HIGH') && severities.includes('WARN'));
  world.realm.crash();
  await world.realm.restart();
  t.is((await view()).active?.version, 3);
});

test('who has no door asks for a decision, and waits for the approval where one is needed', async (t) => {
  await using world = await World.open(TEXT);
  const authorize = (from: string, action: string, who = from) =>
    world.ask(from, 'policy/main', {
      type: 'policy.authorize',
      request: { action, who: { address: who }, on: { address: 'bridge/sip' } },
      decision: { outcome: 'allow' },
      held: { approval: 'approval/forged' },
      pad: 'x'.repeat(2_000),
    }) as Promise<{ decision: { outcome: string; rules: string[] }; approval?: string }>;
  t.like(await authorize('bridge/sip', 'sandbox-run', 'session/ndi'), { decision: { outcome: 'allow' } });
  t.like(await authorize('bridge/sip', 'publish'), { decision: { outcome: 'deny', rules: ['default'] } });
  const { approval: address = '', decision } = await authorize('bridge/sip', 'sip-call');
  t.is(decision.outcome, 'approval');
  t.like(await world.approval(address), { status: 'pending', by: 'bridge/sip', default: 'yes' });
  await world.realm.advance('61s');
  t.like(await world.approval(address), { verdict: 'yes' });
  await refused(t, authorize('session/ndi', 'sandbox-run', 'session/other'), 'policy_denied');
  await refused(
    t,
    world.ask('a/b', 'policy/main', { type: 'policy.authorize', request: { action: 7 } }),
    'bad_request',
  );
  world.inForce = undefined;
  t.like(await authorize('bridge/sip', 'sip-call'), { decision: { outcome: 'allow', version: 0 } });
  const taken = (await world.entries('policy/main')).filter(({ error }) => error === undefined);
  t.false(JSON.stringify(taken).includes('xxx'), 'only what was decided about is kept');
});
