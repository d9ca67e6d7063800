import { readFileSync } from 'node:fs';
import test from 'ava';
import { builtins } from '#actors/index';
import { allMachines } from '#actors/machines';
import type { SessionContext } from '#machines/session';
import type { TaskContext } from '#machines/task';
import { createRegistry } from '#runtime/machine/registry';
import type { EventData, LiveState, MachineAction } from '#runtime/machine/types';
import { loadConfig } from '#runtime/supervise/load-config';
import type { Address } from '#schemas/address';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';

const AT = 1_700_000_000_000;

/** The machines of a realm with mail between them and nothing else: no log, no bus, one clock tick a message. */
async function world() {
  const registry = createRegistry([...Object.keys(builtins.drivers), ...KERNEL_DRIVERS]);
  for (const definition of await allMachines()) registry.define(definition);
  const { spec } = loadConfig('deploy/examples/phase0.yaml', { env: {} });
  const states = new Map<string, LiveState>();
  const replies: unknown[] = [];
  const steps: string[] = [];
  let at = AT;

  const act = (from: string, actions: readonly MachineAction[]) => {
    for (const action of actions) {
      if (action.kind === 'reply') replies.push(action.body);
      if (action.kind === 'send') hear(action.to, action.event, from);
    }
  };
  const hear = (to: string, event: EventData, from?: string) => {
    const state = states.get(to);
    if (state === undefined) throw new Error(`nobody at ${to}`);
    if (state.status !== 'active') throw new Error(`${to} is ${state.status}`);
    const machine = registry.machine(to.slice(0, to.indexOf('/')));
    at += 1;
    const step = machine.step(state, event, { self: to as Address, at, ...(from !== undefined && { from }) });
    const restored = machine.restore(machine.persist(step.state));
    states.set(to, restored);
    steps.push(`${to} ${String(restored.value)}`);
    act(to, step.actions);
  };
  for (const group of spec.children) {
    for (const child of group.supervisor?.children ?? []) {
      const machine = registry.byRef(child.machine);
      states.set(child.address, machine.initial(child.input, { self: child.address as Address, at }).state);
    }
  }
  const say = (from: string, to: string, performative: string, content: unknown) => {
    replies.length = 0;
    const message = {
      id: 'm',
      ts: '',
      performative,
      from: `if://${from}`,
      to: [`if://${to}`],
      conversation: 'c',
      seq: 1,
      content,
    };
    hear(to, { type: `if.${performative}`, message });
    return replies.at(-1);
  };
  const taskAt = (id: string) => states.get(`task/${id}`);
  return { states, hear, say, replies, steps, taskAt };
}

const LINES = readFileSync('deploy/examples/messages.jsonl', 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { performative: string; from: string; to: string[]; content: unknown });

/** Who ends up with each task, and after how many messages. */
const EXPECTED: Readonly<Record<string, readonly [worker: string, messages: number]>> = {
  'P0.1.1': ['cli', 5],
  'P0.1.2': ['bus', 5],
  'P0.1.3': ['bus', 5],
  'P0.1.4': ['cli', 5],
  'P0.1.5': ['sip', 5],
  'P0.2.1': ['cli', 5],
  'P0.2.2': ['bus', 5],
  'P0.2.3': ['bus', 5],
  'P0.2.4': ['bus', 5],
  'P0.2.5': ['cli', 5],
  'P0.2.6': ['sip', 5],
  'P0.3.1': ['bus', 5],
  'P0.3.2': ['bus', 5],
  'P0.3.3': ['cli', 5],
  'P0.3.4': ['cli', 5],
  'P0.3.5': ['bus', 5],
  'P0.3.6': ['sip', 5],
  'P0.4.1': ['cli', 5],
  'P0.4.2': ['cli', 5],
  'P0.4.3': ['cli', 5],
  'P0.4.4': ['cli', 5],
  'P0.5.1': ['ndi', 5],
  'P0.5.2': ['webrtc', 5],
  'P0.5.3': ['h323', 5],
  'P0.5.4': ['ndi', 5],
  'P0.5.5': ['webrtc', 5],
};

test('the 133 messages of phase 0 complete all 26 tasks, each by its owner with its deliverable', async (t) => {
  const { states, hear, replies } = await world();
  t.is(states.size, 33);
  t.is(LINES.length, 133);
  for (const message of LINES) {
    for (const to of message.to)
      hear(to.replace('if://', ''), { type: `if.${message.performative}`, message });
  }
  t.is(replies.length, 133);
  t.true(replies.every((reply) => (reply as { accepted: boolean }).accepted));
  const board = [...states].filter(([address]) => address.startsWith('task/'));
  t.deepEqual(
    Object.fromEntries(
      board.map(([address, { context }]) => {
        const { worker, heard } = context as TaskContext;
        return [address.slice(5), [worker?.slice('session/'.length), heard.messages]];
      }),
    ),
    EXPECTED,
  );
  for (const [address, { status, value, context }] of board) {
    const { result, deliverable, milestone, heard } = context as TaskContext;
    t.is(status, 'active', address);
    t.is(value, 'completed', address);
    t.deepEqual(result, { deliverable: deliverable ?? null, testsPass: true }, address);
    t.is(milestone, 100);
    t.deepEqual(heard.by, { request: 1, inform: 4 });
  }
});

test('after phase 0 every session is idle, with what it completed and what others asked of it', async (t) => {
  const { states, hear } = await world();
  for (const message of LINES) {
    for (const to of message.to)
      hear(to.replace('if://', ''), { type: `if.${message.performative}`, message });
  }
  const table = [...states]
    .filter(([address]) => address.startsWith('session/'))
    .map(([address, { value, context }]) => {
      const { completed, helpWanted, escalations, tasks } = context as SessionContext;
      return [address, value, completed, helpWanted.length, escalations.length, tasks.length];
    });
  t.deepEqual(table, [
    ['session/ndi', 'idle', 2, 0, 0, 0],
    ['session/webrtc', 'idle', 2, 0, 0, 0],
    ['session/h323', 'idle', 1, 0, 0, 0],
    ['session/sip', 'idle', 3, 0, 0, 0],
    ['session/cli', 'idle', 10, 1, 0, 0],
    ['session/talent', 'idle', 0, 0, 0, 0],
    ['session/bus', 'idle', 8, 1, 1, 0],
  ]);
});

test('a task refuses whoever does not have it, and says why', async (t) => {
  const { say, taskAt } = await world();
  const to = 'task/P0.1.1';
  t.like(say('session/cli', to, 'inform', { action: 'progress', milestone: 5 }), {
    accepted: false,
    code: 'not_yours',
    reason: 'nobody has claimed it',
  });
  t.like(say('session/bus', to, 'request', { action: 'claim' }), {
    accepted: false,
    reason: 'it is meant for session/cli',
  });
  t.deepEqual(say('session/cli', to, 'request', { action: 'claim' }), {
    accepted: true,
    status: 'claimed',
    milestone: 0,
    token: 1,
  });
  t.like(say('session/bus', to, 'request', { action: 'claim' }), {
    accepted: false,
    reason: 'session/cli has it',
  });
  t.like(say('session/bus', to, 'inform', { action: 'complete' }), {
    accepted: false,
    reason: 'session/cli has it, not session/bus',
  });
  t.like(say('session/cli', to, 'inform', { action: 'progress', milestone: 500 }), {
    accepted: false,
    reason: 'the content is not an action of a task: what is wrong is in milestone',
  });
  t.like(say('session/bus', to, 'inform', 'well done'), { accepted: true, milestone: 0 });
  t.is(taskAt('P0.1.1')?.value, 'claimed');
  t.like(taskAt('P0.1.1')?.context, { heard: { messages: 7, refused: 5 } });
});

test('a task is blocked and comes back to where it was, is released, fails, or is cancelled', async (t) => {
  const { say, taskAt, states } = await world();
  const to = 'task/P0.2.1';
  const tell = (content: unknown) => say('session/cli', to, 'inform', content);
  say('session/cli', to, 'request', { action: 'claim' });
  tell({ action: 'block', on: 'P0.2.3' });
  t.is(taskAt('P0.2.1')?.value, 'blocked');
  t.like(tell({ action: 'progress', milestone: 5 }), {
    accepted: false,
    reason: 'it is blocked on P0.2.3',
  });
  tell({ action: 'unblock' });
  t.is(taskAt('P0.2.1')?.value, 'claimed');
  tell({ action: 'progress', milestone: 40, note: 'half way' });
  tell({ action: 'block', on: 'bus', kind: 'person' });
  tell({ action: 'unblock' });
  t.is(taskAt('P0.2.1')?.value, 'in_progress');
  t.is(states.get('session/cli')?.value, 'working');
  tell({ action: 'release' });
  t.is(taskAt('P0.2.1')?.value, 'available');
  t.is(states.get('session/cli')?.value, 'idle');
  say('session/cli', to, 'request', { action: 'claim' });
  tell({ action: 'fail', reason: 'no way' });
  t.is(taskAt('P0.2.1')?.value, 'failed');
  t.like(taskAt('P0.2.1')?.context, { reason: 'no way' });
  t.like(states.get('session/cli')?.context, { failed: 1 });
  say('session/cli', 'task/P0.2.5', 'request', { action: 'cancel' });
  t.is(taskAt('P0.2.5')?.value, 'cancelled');
});

test('a session says when it is away and when it is back', async (t) => {
  const { say, states } = await world();
  say('session/ndi', 'session/ndi', 'inform', { action: 'presence', status: 'away' });
  t.is(states.get('session/ndi')?.value, 'away');
  say('session/ndi', 'session/ndi', 'inform', { action: 'presence', status: 'here' });
  t.is(states.get('session/ndi')?.value, 'idle');
});
