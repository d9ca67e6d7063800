import test from 'ava';
import fc from 'fast-check';
import { initialSession } from '#machines/session/context';
import { decideSession } from '#machines/session/decide';
import { unanswered } from '#machines/task/check';
import { initialTask, type TaskContext } from '#machines/task/context';
import { decideTask } from '#machines/task/decide';
import { initialWorker, type WorkerContext } from '#machines/worker/context';
import { decideWorker } from '#machines/worker/decide';
import type { EventData } from '#runtime/machine/types';
import type { LoggedEntry } from '#runtime/testing/realm';
import { assignmentRulesSchema } from '#schemas/assignment';
import { workerProfileSchema } from '#schemas/worker';
import { NOW, World } from './world.ts';

const A = 'session/a';
const B = 'session/b';

test('a task runs its life, and what depends on it becomes available', async (t) => {
  await using world = await World.open();
  t.like(await world.add({ id: 'one', title: 'One' }, { id: 'two', deps: ['one', 'late'] }), {
    accepted: true,
    added: ['one', 'two'],
    missing: ['late'],
  });
  t.like(await world.view('two'), { status: 'waiting', waitingFor: ['one', 'late'] });
  const token = await world.claim(A, 'one', 7);
  t.is(token, 7, 'the revision of the key is the token');
  t.like(await world.say(B, 'one', 'claim'), { code: 'already_claimed', reason: 'session/a has it' });
  t.like(await world.say(B, 'two', 'claim'), { code: 'not_available', reason: 'it waits for one, late' });
  t.like(await world.say(A, 'one', 'progress', { token, milestone: 40, note: 'on it' }), { milestone: 40 });
  for (const by of [A, 'operator/ann']) {
    t.like(await world.say(by, 'one', 'unblock', { token }), {
      code: 'wrong_state',
      reason: 'it is not blocked: it is in_progress',
    });
  }
  t.like(await world.view('one'), { status: 'in_progress', worker: A, note: 'on it', attempts: 1 });
  t.like(await world.say(A, 'one', 'complete', { token, deliverable: 'one.ts' }), { status: 'completed' });
  t.like(await world.view('one'), { handedIn: { deliverable: 'one.ts', testsPass: null } });
  t.like(await world.say(A, 'one', 'complete', { token }), {
    code: 'wrong_state',
    reason: 'it is completed: "complete" means nothing now',
  });
  t.like(await world.say(B, 'one', 'release'), { reason: 'session/a had it, and it is completed' });
  t.deepEqual((await world.view('two')).waitingFor, ['late']);
  // A dependency that comes after what needs it, and one that was complete before.
  await world.add({ id: 'late' }, { id: 'three', deps: ['one'] });
  t.is((await world.view('three')).status, 'available');
  await world.say(A, 'late', 'claim');
  await world.say(A, 'late', 'complete');
  t.is((await world.view('two')).status, 'available');
  t.deepEqual(
    world.told('task/two').filter((name) => name === 'task.available'),
    ['task.available'],
  );
  await t.throwsAsync(world.view('nothing'), { code: 'unknown_task' });
});

test('a cycle is refused by its name, and nothing of its batch is added', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'a', deps: ['b'] });
  t.like(await world.add({ id: 'x' }, { id: 'c', deps: ['a'] }, { id: 'b', deps: ['c'] }), {
    accepted: false,
    code: 'cycle',
    cycle: ['c', 'a', 'b', 'c'],
  });
  await t.throwsAsync(world.view('x'), { code: 'unknown_task' });
  t.like(await world.add({ id: 'a', deps: ['b'] }), { accepted: true, known: ['a'], added: [] });
  t.like(await world.add({ id: 'a', deps: [] }), { code: 'task_exists' });
  // Nobody but a board gives a task to its actor.
  await t.throwsAsync(world.ask(A, 'task/y', { type: 'task.progress', milestone: 1 }), {
    code: 'unknown_task',
  });
  await world.ask(A, 'task/y', { type: 'task.add', spec: { id: 'y' }, addedBy: A });
  await t.throwsAsync(world.view('y'), { code: 'unknown_task' });
});

test('a worker paused past its lease cannot complete the task that another finished', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' });
  const old = await world.claim(A, 'one', 3);
  world.ends.hear('task/one', undefined);
  await world.realm.idle();
  t.like(await world.view('one'), { status: 'available', worker: null });
  const token = await world.claim(B, 'one', 9);
  t.like(await world.say(A, 'one', 'progress', { token: old, milestone: 99 }), { code: 'not_yours' });
  await world.say(B, 'one', 'complete', { token, deliverable: 'of b' });
  t.like(await world.say(A, 'one', 'complete', { token: old, deliverable: 'of a' }), { code: 'not_yours' });
  t.like(await world.view('one'), { status: 'completed', worker: B, token: 9 });
  // Its own later claim does not make its earlier token good.
  await world.add({ id: 'two' });
  const first = await world.claim(A, 'two', 20);
  world.ends.hear('task/two', undefined);
  await world.realm.idle();
  await world.claim(A, 'two', 21);
  t.like(await world.say(A, 'two', 'complete', { token: first }), { code: 'stale_token' });
  t.like(await world.say(A, 'two', 'complete'), { code: 'stale_token' });
});

test('a lost bucket makes no second winner and leaves no task behind', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'kept' }, { id: 'gone' });
  const kept = await world.claim(A, 'kept', 1_000, 'L1');
  await world.claim(A, 'gone', 1_001, 'L2');
  world.ends.forgetRows();
  // A rival is faster with a key than the holder, in a bucket that counts from 1 again.
  world.ends.hear('task/kept', 'R');
  t.like(await world.say(B, 'kept', 'claim', { lease: 'R', revision: 1 }), { code: 'already_claimed' });
  world.ends.hear('task/kept', undefined);
  world.ends.hear('task/kept', 'L1');
  await world.realm.advance(60_000);
  t.like(await world.view('kept'), { status: 'claimed', worker: A, token: kept });
  t.is((await world.say(A, 'kept', 'progress', { token: kept, milestone: 5 })).accepted, true);
  t.like(await world.view('gone'), { status: 'available', worker: null });
  t.is(await world.claim(B, 'gone', 2), 1_002, 'tokens never run backwards');
});

test('a claim survives a crash of the node, and so does the watch over its lease', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' });
  await world.claim(A, 'one', 3);
  world.realm.crash();
  await world.realm.restart();
  await world.realm.advance(60_000);
  t.like(await world.view('one'), { status: 'claimed', worker: A });
  world.ends.hear('task/one', undefined);
  await world.realm.idle();
  t.is((await world.view('one')).status, 'available');
  const last = world.realm.log('task/one').at(-2);
  t.like(last?.event, { type: 'xstate.done.actor.lease' });
});

test('whatever is claimed, lost and done: one holder, growing tokens, and only the newest token counts', async (t) => {
  const step = fc.record({
    by: fc.constantFrom('a', 'b', 'c'),
    what: fc.constantFrom('claim', 'progress', 'release', 'expire', 'lose', 'transfer', 'late'),
    revision: fc.integer({ min: 1, max: 50 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }), async (steps) => {
      await using world = await World.open();
      await world.add({ id: 'one' });
      let holder: { by: string; token: number } | undefined;
      let last = 0;
      const past: { by: string; token: number }[] = [];
      for (const [n, { by, what, revision }] of steps.entries()) {
        const who = `session/${by}`;
        const before = await world.view('one');
        t.is(before.worker, holder === undefined ? null : `session/${holder.by}`);
        if (what === 'claim') {
          const lease = `L${n}`;
          if (holder === undefined) world.ends.hear('task/one', lease);
          const reply = await world.say(who, 'one', 'claim', { lease, revision });
          t.is(reply.accepted, holder === undefined);
          if (!reply.accepted) continue;
          t.true(reply.token > last);
          last = reply.token;
          holder = { by, token: last };
          past.push(holder);
        } else if (what === 'late') {
          for (const old of past.slice(0, -1)) {
            const reply = await world.say(`session/${old.by}`, 'one', 'complete', { token: old.token });
            t.false(reply.accepted);
          }
        } else if (what === 'expire') {
          world.ends.hear('task/one', undefined);
          await world.realm.idle();
          holder = undefined;
        } else if (what === 'lose') {
          world.ends.forgetRows();
          await world.realm.advance(3_600_000);
          holder = undefined;
        } else if (what === 'transfer') {
          const token = holder?.token ?? 0;
          const reply = await world.say(who, 'one', 'transfer', { token, to: 'session/c', lease: `L${n}` });
          t.is(reply.accepted, holder?.by === by);
          if (!reply.accepted) continue;
          world.ends.hear('task/one', `L${n}`);
          t.true(reply.token > last);
          last = reply.token;
          holder = { by: 'c', token: last };
          past.push(holder);
        } else {
          const reply = await world.say(who, 'one', what, { token: holder?.token ?? 0, milestone: 1 });
          t.is(reply.accepted, holder?.by === by);
          if (reply.accepted && what === 'release') holder = undefined;
        }
      }
    }),
    { numRuns: 20 },
  );
});

test('silence is told, deadlines pass, and a word of the worker ends the silence', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one', deadline: NOW + 3_600_000 });
  await world.say(A, 'one', 'claim');
  await world.realm.advance('14m');
  await world.say(A, 'one', 'progress', { milestone: 10 });
  await world.realm.advance('14m');
  t.is((await world.view('one')).staleAt, null);
  await world.realm.advance('2m');
  t.like(await world.view('one'), { staleAt: NOW + 29 * 60_000, status: 'in_progress' });
  await world.say(A, 'one', 'progress', { milestone: 20 });
  t.is((await world.view('one')).staleAt, null);
  await world.realm.advance('1h');
  t.true((await world.view('one')).overdue);
  t.true(world.told('task/one').includes('task.overdue'));
  t.is(world.realm.log('task/one').filter(({ severity }) => severity === 'WARN').length, 3);
});

test('a failed task is offered again as often as it says; cancelled and amended by who may', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one', retries: 1 });
  for (const status of ['available', 'failed'] as const) {
    await world.say(A, 'one', 'claim');
    t.like(await world.say(A, 'one', 'fail', { reason: 'no way' }), { status });
  }
  t.like(await world.view('one'), { attempts: 2, reason: 'no way' });
  t.like(await world.say(A, 'one', 'retry'), { code: 'not_permitted' });
  t.like(await world.say('operator/o', 'one', 'retry'), { status: 'available' });
  t.like(await world.say(A, 'one', 'amend', { priority: 9 }), { code: 'not_permitted' });
  await world.say('operator/o', 'one', 'amend', { priority: 9, title: 'More' });
  t.like(await world.view('one'), { priority: 9, title: 'More' });
  t.like(await world.say(B, 'one', 'cancel'), { code: 'not_yours' });
  t.like(await world.say('operator/o', 'one', 'cancel', { reason: 'no need' }), { status: 'cancelled' });
  t.like(await world.say(A, 'one', 'claim'), { code: 'wrong_state', reason: 'it is cancelled' });
  t.like(await world.say('operator/o', 'one', 'claim'), { code: 'wrong_state' });
  await world.add({ id: 'two', owner: 'b' });
  t.like(await world.say(A, 'two', 'claim'), { code: 'meant_for_another' });
  t.like(await world.say('operator/o', 'two', 'claim'), { code: 'not_permitted' });
});

test('claims that did not fail use up no retries, and who orders it anew gives it all of them again', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one', retries: 1 });
  await world.claim(A, 'one', 3);
  world.ends.hear('task/one', undefined);
  await world.realm.idle();
  await world.say(A, 'one', 'claim');
  await world.say(A, 'one', 'release');
  for (const status of ['available', 'failed', 'available', 'failed'] as const) {
    await world.say(A, 'one', 'claim');
    t.like(await world.say(A, 'one', 'fail'), { status });
    if (status === 'failed') await world.say('operator/o', 'one', 'retry');
  }
  t.is((await world.view('one')).attempts, 6);
});

test('who is blocked gets help from the first three who match; where there is none a person has to look', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'slow', requires: ['code:c'] }, { id: 'fast' });
  await world.say(A, 'slow', 'claim');
  await world.say(B, 'fast', 'claim');
  const helpers = ['h1', 'h2', 'h3', 'h4'].map((id) => `session/${id}`);
  world.matched = ({ want }) => (want === 'sessions' ? { sessions: helpers } : undefined);
  t.like(await world.say(B, 'fast', 'block', { on: '["slow"]' }), {
    code: 'bad_action',
    reason: 'the content is not an action of a task: what is wrong is in on',
  });
  // Others stand still because of it: that is a cry for help.
  t.like(await world.say(B, 'fast', 'block', { on: 'slow' }), { status: 'blocked' });
  t.like(await world.view('slow'), { helpWanted: { requires: ['code:c'], reason: 'fast is blocked on it' } });
  t.like(world.sought.at(-1), { want: 'sessions', task: 'slow', requires: ['code:c'], except: [A] });
  t.true(world.told('session/h1').includes('session.help_wanted'));
  t.like(await world.say('session/x', 'slow', 'join'), { code: 'not_permitted' });
  for (const helper of helpers.slice(0, 3)) t.true((await world.say(helper, 'slow', 'join')).accepted);
  t.false((await world.say('session/h4', 'slow', 'join')).accepted);
  t.like(await world.view('slow'), { helpers: helpers.slice(0, 3), helpWanted: null });
  t.like(await world.say(B, 'fast', 'progress', { milestone: 3 }), { code: 'blocked' });
  await world.say(A, 'slow', 'complete');
  t.like(await world.view('fast'), { status: 'claimed', blockedOn: null });

  world.matched = ({ want }) => (want === 'sessions' ? { sessions: [] } : undefined);
  await world.say(B, 'fast', 'help', { reason: 'stuck', requires: ['rare:art'] });
  t.like(await world.view('fast'), { needsPerson: true });
  t.true(world.told('task/fast').includes('task.needs_person'));
});

test('the conversation about a task is kept, the newest of it', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one' });
  for (let n = 0; n < 60; n += 1) await world.say(A, 'one', 'say', { content: n, as: 'share' });
  await world.say(A, 'one', 'say', { content: 'x'.repeat(5_000) });
  const { messages } = (await world.ask(A, 'task/one', { type: 'task.conversation' })) as {
    messages: readonly { from: string; content: unknown }[];
  };
  t.is(messages.length, 50);
  t.like(messages[0], { from: A, content: 11, performative: 'share' });
  t.deepEqual(messages.at(-1)?.content, { cut: 5_002 });
});

test('dissent counts until it is taken back, however much is said since, and before', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one', gate: { artifacts: [], checks: ['ttt'] } });
  await world.say(A, 'one', 'claim');
  await world.say(B, 'one', 'say', { content: 'fine so far', as: 'agree' });
  await world.say(B, 'one', 'say', { content: 'it leaks', as: 'contradict' });
  for (let n = 0; n < 60; n += 1) await world.say(A, 'one', 'say', { content: 'all is well' });
  const whole = { claims: [{ text: 'it works', cites: [] }], testsPass: true, confidence: 1 };
  t.like(await world.say(A, 'one', 'complete', whole), {
    code: 'gate_failed',
    checks: [{ check: 'ttt', missing: ['transparent: session/b said "contradict" and did not agree since'] }],
  });
  await world.say(B, 'one', 'say', { content: 'mended', as: 'agree' });
  t.like(await world.say(A, 'one', 'complete', whole), { accepted: true });
});

test('an override completes what its worker handed in, and nothing of who had it before', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'one', gate: {} });
  const first = await world.claim(A, 'one', 1);
  t.like(await world.say(A, 'one', 'complete', { token: first, deliverable: 'of a' }), {
    code: 'gate_failed',
  });
  world.ends.hear('task/one', undefined);
  await world.realm.idle();
  const token = await world.claim(B, 'one', 2);
  const override = { reason: 'ship it' };
  t.like(await world.say('operator/o', 'one', 'override', override), { code: 'wrong_state' });
  t.like(await world.say(B, 'one', 'complete', { token, deliverable: 'of b' }), { code: 'gate_failed' });
  await world.say('operator/o', 'one', 'transfer', { to: A });
  t.like(await world.say('operator/o', 'one', 'override', override), { code: 'wrong_state' });
  t.like(await world.say(A, 'one', 'complete', { deliverable: 'of a again' }), { code: 'gate_failed' });
  t.like(await world.say('operator/o', 'one', 'override', { reason: ' \n' }), { code: 'bad_action' });
  t.like(await world.say('operator/o', 'one', 'override', override), { status: 'completed' });
});

test('whatever a board takes becomes a task: many dependencies, odd names; the rest it refuses', async (t) => {
  await using world = await World.open();
  const many = Array.from({ length: 900 }, (_, n) => `d${n}`);
  t.like(await world.add({ id: 'many', deps: many }), { accepted: true });
  t.is((await world.view('many')).waitingFor.length, 900);
  await world.add({ id: 'd899' });
  await world.say(A, 'd899', 'claim');
  await world.say(A, 'd899', 'complete');
  t.is((await world.view('many')).waitingFor.length, 899, 'the last of them was asked, too');
  // Names that every object has.
  t.like(await world.add({ id: 'constructor', deps: ['toString'] }, { id: 'toString' }), {
    accepted: true,
    added: ['constructor', 'toString'],
    missing: [],
  });
  await world.say(A, 'toString', 'claim');
  await world.say(A, 'toString', 'complete');
  t.is((await world.view('constructor')).status, 'available');
  for (const wrong of [
    { deadline: Number.MAX_SAFE_INTEGER },
    { estimate: { cost: 1e303 } },
    { deliverables: Array.from({ length: 9 }, () => 'x'.repeat(2_000)) },
  ])
    t.like(await world.add({ id: 'wrong', ...wrong }), { accepted: false, code: 'bad_action' });
  // The largest that is taken can be claimed and given back.
  const large = Array.from({ length: 7 }, () => 'x'.repeat(2_000));
  t.true((await world.add({ id: 'large', deliverables: large, gate: {} })).accepted);
  const token = await world.claim(A, 'large', 1);
  const claims = Array.from({ length: 100 }, (_, n) => ({
    text: 'y'.repeat(500),
    cites: [`${n}`.repeat(300)],
  }));
  t.like(await world.say(A, 'large', 'complete', { token, claims }), { code: 'gate_failed' });
  world.ends.hear('task/large', undefined);
  await world.realm.idle();
  t.is((await world.view('large')).status, 'available');
});

test('who has a governed task hands it to nobody: the governor says who may have it', (t) => {
  const held = {
    ...initialTask({ governed: true }, 'task/x'),
    status: 'claimed' as const,
    worker: A,
    token: 1,
  };
  const transfer = (from: string) =>
    decideTask(held, { event: { type: 'task.transfer', to: B, lease: 'L' }, self: 'task/x', at: NOW, from });
  t.like(transfer(A).reply, { accepted: false, code: 'not_permitted' });
  const steered = transfer('operator/o');
  t.like(steered.reply, { accepted: true, token: 2 });
  t.true(
    steered.cancelled?.includes('rewatch'),
    'a watch that was to begin anew is not that of the new claim',
  );
});

test('a worker that claims again while the governor is asked joins its own claim', (t) => {
  const hear = (context: TaskContext, event: EventData, from: string) => {
    const outcome = decideTask(context, { event, self: 'task/x', at: NOW, from });
    return { ...outcome, next: { ...context, ...outcome.patch } };
  };
  const claim = (lease: string) => ({ type: 'task.claim', lease, leaseMs: 5_000 });
  const free = { ...initialTask({ governed: true }, 'task/x'), status: 'available' as const };
  const first = hear(free, claim('L1'), A);
  t.deepEqual(
    first.mail?.map(({ to }) => to),
    ['worker/a'],
  );
  t.like(hear(first.next, claim('L2'), B).reply, { accepted: false, code: 'already_claimed' });
  // Who sent the first was ended meanwhile: the key that will be written is that of the second.
  const again = hear(first.next, claim('L2'), A);
  t.like(again.reply, { accepted: true, checking: true });
  t.is(again.mail, undefined, 'the governor is asked once');
  const permit = {
    type: 'task.permit',
    worker: 'a',
    permitted: true,
    verdict: { worker: 'a', factors: null, refusals: [] },
  };
  const claimed = hear(again.next, permit, 'worker/a');
  t.like(claimed.next, { status: 'claimed', worker: A, lease: 'L2', token: 1, attempts: 1 });
});

test('a second permit for one claim gives back what was permitted, and never the slot of the claim', (t) => {
  const asked = { type: 'task.claim', lease: 'L', leaseMs: 5_000 };
  const rules = assignmentRulesSchema.parse({});
  const profile = workerProfileSchema.parse({ id: 'a', maxConcurrent: 2 });
  const registered = { status: 'registered' as const, profile, rules };
  let x = { ...initialTask({ governed: true }, 'task/x'), status: 'available' as const } as TaskContext;
  let entry: WorkerContext = { ...initialWorker(undefined, 'worker/a'), ...registered };
  const mailed: EventData[] = [];
  const toTask = (event: EventData, from: string): void => {
    const outcome = decideTask(x, { event, self: 'task/x', at: NOW, from });
    x = { ...x, ...outcome.patch };
    mailed.push(...(outcome.mail ?? []).filter(({ to }) => to === 'worker/a').map((mail) => mail.event));
  };
  /** The entry hears what was mailed: its answers. */
  const heard = (): EventData[] =>
    mailed.splice(0).flatMap((event) => {
      const outcome = decideWorker(entry, { event, self: 'worker/a', at: NOW, from: 'task/x' });
      entry = { ...entry, ...outcome.patch };
      return (outcome.mail ?? []).filter(({ to }) => to === 'task/x').map((mail) => mail.event);
    });
  // The entry's shard has no owner for longer than a claim waits.
  toTask(asked, A);
  x = { ...x, ...unanswered(x, NOW).patch };
  toTask(asked, A);
  const answers = heard();
  t.is(answers.length, 2);
  for (const answer of answers) toTask(answer, 'worker/a');
  t.like(x, { status: 'claimed', worker: A, token: 1 });
  heard();
  t.like(entry.tasks, [{ id: 'x', token: 1 }]);
  toTask({ type: 'task.complete', token: 1 }, A);
  heard();
  t.like(entry, { tasks: [], completed: 1 });

  // Where it waits for neither answer, nothing is held.
  x = { ...x, status: 'available', worker: null };
  toTask(asked, A);
  const [late] = heard();
  t.like(entry.tasks, [{ id: 'x', token: 0 }]);
  x = { ...x, ...unanswered(x, NOW).patch };
  toTask(late ?? asked, 'worker/a');
  heard();
  t.deepEqual(entry.tasks, []);
});

test('a watch, or a look for work, that failed is begun again', (t) => {
  const here = { ...initialSession({ id: 'a' }, A), lease: 'L', leaseMs: 5_000 };
  const hear = (type: string) => decideSession(here, { event: { type }, self: A, at: NOW, from: undefined });
  t.like(hear('xstate.error.actor.lease'), { ended: ['lease'], timers: [{ id: 'rewatch' }] });
  t.is(hear('xstate.error.actor.lease').patch, undefined, 'it is not gone');
  t.like(hear('xstate.timer.rewatch'), { effects: [{ driver: 'lease', input: { lease: 'L', ms: 5_000 } }] });
  t.like(hear('xstate.error.actor.match'), { timers: [{ id: 'relook' }] });
  t.like(hear('xstate.timer.relook'), { effects: [{ driver: 'match' }] });
});

test('a gate names what is missing, and is overridden only with a reason by who may', async (t) => {
  await using world = await World.open();
  await world.add({ id: 'dep' }, { id: 'one', deps: ['dep'], gate: {}, budget: { costMicros: 1_000 } });
  await world.say(A, 'dep', 'claim');
  await world.say(A, 'dep', 'complete');
  await world.say(A, 'one', 'claim');
  await world.say(B, 'one', 'say', { content: 'it leaks', as: 'contradict' });
  const bare = await world.say(A, 'one', 'complete', {
    claims: [{ text: 'it works', cites: ['nowhere.ts'] }],
    costMicros: 1_001,
  });
  t.false(bare.accepted);
  const missing = bare.accepted
    ? {}
    : Object.fromEntries((bare.checks ?? []).map((c) => [c.check, c.missing]));
  t.is(missing['artifacts']?.length, 6);
  t.deepEqual(missing['ground'], ['"it works" cites "nowhere.ts", which is no artifact']);
  t.deepEqual(missing['witness'], ['no witness export']);
  t.deepEqual(missing['ttt'], [
    'transparent: session/b said "contradict" and did not agree since',
    'trustworthy: the tests are not said to pass',
    'trustworthy: no confidence is given',
  ]);
  t.deepEqual(missing['cost'], ['it cost 1001 millionths; 1000 were granted']);
  t.deepEqual(missing['relationships'], [
    'no relationship between task/one and session/a',
    'no relationship between task/one and task/dep',
  ]);
  t.is((await world.view('one')).status, 'claimed');

  t.like(await world.say(A, 'one', 'override', { reason: 'trust me' }), { code: 'not_permitted' });
  t.like(await world.say('operator/o', 'one', 'override', { reason: '' }), { code: 'bad_action' });
  await world.say(B, 'one', 'say', { content: 'mended', as: 'agree' });
  const artifacts = ['code', 'docs', 'contract', 'witness', 'branch', 'issues'].map((kind) => ({
    kind,
    path: `${kind}.file`,
    sha256: 'a'.repeat(64),
  }));
  const whole = {
    artifacts,
    claims: [{ text: 'it works', cites: ['code.file'] }],
    entries: 10,
    costMicros: 1_000,
    testsPass: true,
    confidence: 0.9,
    relationships: [
      { from: 'task/one', to: 'session/a', tag: 'parent-child' },
      { from: 'task/dep', to: 'task/one', tag: 'peers' },
    ],
  };
  t.like(await world.say(A, 'one', 'complete', { ...whole, entries: 0 }), {
    reason: 'witness: the witness export holds 0 entries of at least 1',
  });
  t.true((await world.say(A, 'one', 'complete', whole)).accepted);
  t.like(await world.view('one'), { status: 'completed', artifacts });

  await world.add({ id: 'two', gate: { artifacts: ['docs'], checks: [] } });
  await world.say(A, 'two', 'claim');
  t.like(await world.say(A, 'two', 'complete'), { reason: 'artifacts: no artifact of kind "docs"' });
  t.true((await world.say('operator/o', 'two', 'override', { reason: 'later' })).accepted);
  t.like(await world.view('two'), { status: 'completed', reason: 'overridden by operator/o: later' });
  const entries: LoggedEntry[] = world.realm.log('task/two');
  t.true(
    entries.some(
      ({ severity, log }) => severity === 'HIGH' && JSON.stringify(log).includes('gate_overridden'),
    ),
  );
});
