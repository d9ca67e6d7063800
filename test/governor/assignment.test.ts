/** How work is given to workers: the best score, fair turns, and that nobody and nothing starves. */
import test from 'ava';
import fc from 'fast-check';
import { gangOf } from '#actors/coordinator/gang';
import { assign, type WaitingTask } from '#actors/governor/assignment/assign';
import { AGE_STEP_MS, byUrgency, choose, isFairTurn } from '#actors/governor/assignment/choose';
import { WorkerIndex } from '#actors/governor/registry/worker-index';
import { firstReputation } from '#machines/registry/reputation';
import { assignmentRulesSchema } from '#schemas/assignment';
import type { SessionView } from '#schemas/session';
import { type WorkerView, workerProfileSchema } from '#schemas/worker';

const NOW = Date.parse('2026-01-05T00:00:00Z');
const RULES = assignmentRulesSchema.parse({});

function workerOf(
  id: string,
  micros: number,
  maxConcurrent = 1,
  capabilities: readonly string[] = [],
): WorkerView {
  return {
    id,
    status: 'registered',
    profile: workerProfileSchema.parse({
      id,
      capabilities,
      costPerHour: { micros },
      maxConcurrent,
    }),
    taxonomyVersion: null,
    reputation: firstReputation(NOW),
    completed: 0,
    failed: 0,
    tasks: [],
    idleSince: NOW,
    breaker: 'closed',
    budgetLeftMicros: null,
    last: null,
    changedAt: null,
  };
}

function taskOf(id: string, priority = 0, since = NOW, requires: readonly string[] = []): WaitingTask {
  return { id, priority, since, need: { task: id, requires: [...requires], hours: 1, contextTokens: null } };
}

function give(index: WorkerIndex, worker: string, task: string): void {
  const view = index.get(worker) as WorkerView;
  index.set({ ...view, tasks: [...view.tasks, task], idleSince: null });
}

function end(index: WorkerIndex, worker: string, task: string, at: number): void {
  const view = index.get(worker) as WorkerView;
  const tasks = view.tasks.filter((id) => id !== task);
  index.set({ ...view, tasks, idleSince: tasks.length === 0 ? at : view.idleSince });
}

test('the most urgent task goes first, each to the best that still has room', (t) => {
  const index = new WorkerIndex();
  for (const [id, micros, slots] of [
    ['cheap', 1e6, 2],
    ['dear', 9e6, 1],
    ['mid', 3e6, 1],
  ] as const)
    index.set(workerOf(id, micros, slots));
  const tasks = [taskOf('a'), taskOf('b', 5), taskOf('c'), taskOf('d', 0, NOW - 1), taskOf('e')];
  const given: string[] = [];
  for (const { task, verdict } of assign(tasks, index, NOW, { rules: { ...RULES, fairEvery: 0 } })) {
    given.push(`${task.id}:${verdict.worker}`);
    give(index, verdict.worker, task.id);
  }
  t.deepEqual(given, ['b:cheap', 'd:cheap', 'a:mid', 'c:dear']);
});

test('guards stand in for what the workers themselves say of budgets and breakers', (t) => {
  const index = new WorkerIndex();
  for (const id of ['broke', 'open', 'fine']) index.set(workerOf(id, id === 'fine' ? 5e6 : 1e6));
  const guards = {
    budgetLeft: (worker: string, estimate: number) => (worker === 'broke' ? estimate - 1 : null),
    breaker: (worker: string) => (worker === 'open' ? ('open' as const) : ('closed' as const)),
  };
  const [given] = [...assign([taskOf('a')], index, NOW, { rules: RULES, guards })];
  t.is(given?.verdict.worker, 'fine');
  t.deepEqual(given?.ranking.refused, { budget: 1, breaker: 1 });
});

test('one in twenty tasks has a fair turn, and every node says which', (t) => {
  const names = Array.from({ length: 20_000 }, (_, n) => `P${n % 7}.${n}`);
  const fair = names.filter((name) => isFairTurn(name, RULES.fairEvery)).length;
  t.true(fair > 800 && fair < 1_200, String(fair));
  t.true(names.every((name) => !isFairTurn(name, 0)));
  const best = { worker: 'best', factors: null, refusals: [] };
  const idlest = { ...best, worker: 'idlest' };
  const name = names.find((one) => isFairTurn(one, RULES.fairEvery)) ?? '';
  const { need } = taskOf(name);
  t.deepEqual(choose({ candidates: [best], idlest, need }, RULES), { verdict: idlest, turn: 'fair' });
  t.deepEqual(choose({ candidates: [best], idlest: null, need }, RULES), { verdict: best, turn: 'score' });
  t.is(choose({ candidates: [], idlest: null, need }, RULES), undefined);
});

test('no candidate starves: each has had work after as many fair turns as there are candidates', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 8 }),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(1_000),
      (prices, fairEvery, salt) => {
        const index = new WorkerIndex();
        for (const [n, price] of prices.entries()) index.set(workerOf(`w${n}`, price * 1e6));
        const served = new Set<string>();
        let turns = 0;
        for (let n = 0, at = NOW; turns < prices.length; n += 1, at += 1_000) {
          const id = `t${salt}-${n}`;
          if (isFairTurn(id, fairEvery)) turns += 1;
          const [given] = assign([taskOf(id)], index, at, { rules: { ...RULES, fairEvery } });
          if (given === undefined) return false;
          served.add(given.verdict.worker);
          give(index, given.verdict.worker, id);
          end(index, given.verdict.worker, id, at + 500);
        }
        return served.size === prices.length;
      },
    ),
  );
  t.pass();
});

test('no task starves: one that somebody can do is done, however many more important ones keep coming', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 4 }),
      fc.nat(1_000),
      (priority, rate, salt) => {
        const index = new WorkerIndex();
        index.set(workerOf('only', 1e6));
        const patient = taskOf('patient');
        let waiting: WaitingTask[] = [patient];
        const stepMs = AGE_STEP_MS / 4;
        // It is as urgent as the newest after `priority` hours, and those that came before it have their turn first.
        const rounds = 4 * priority * rate + rate + 4;
        for (let n = 0, at = NOW; n < rounds * 4; n += 1, at += stepMs) {
          for (let k = 0; k < rate; k += 1) waiting.push(taskOf(`t${salt}-${n}-${k}`, priority, at));
          const [given] = assign(waiting, index, at, { rules: RULES });
          if (given?.task === patient) return true;
          waiting = waiting.filter((task) => task !== given?.task);
        }
        return false;
      },
    ),
  );
  t.pass();
});

test('a gang is the best who are there, and never more than have a place beside those who are at it', (t) => {
  const workers = new WorkerIndex();
  const sessions = new Map<string, SessionView>();
  const statuses = ['idle', 'working', 'blocked', 'idle', 'idle', 'away', 'gone'] as const;
  for (const [n, status] of statuses.entries()) {
    workers.set(workerOf(`w${n}`, (n + 1) * 1e6, 2));
    sessions.set(`w${n}`, { id: `w${n}`, status } as SessionView);
  }
  sessions.set('stranger', { id: 'stranger', status: 'idle' } as SessionView);
  const { need } = taskOf('stuck');
  const gang = (present: readonly string[], maxWorkersPerTask = 4): string[] =>
    gangOf(need, { workers, sessions, rules: { ...RULES, maxWorkersPerTask } }, new Set(present), NOW);
  t.deepEqual(gang(['session/w0']), ['session/w1', 'session/w2', 'session/w3']);
  t.deepEqual(gang(['session/w0', 'session/w2', 'session/w3']), ['session/w1']);
  t.deepEqual(gang(['session/w0'], 20), ['session/w1', 'session/w2', 'session/w3', 'session/w4']);
  t.deepEqual(gang(['session/w0'], 1), []);
});

test('urgency grows by a level an hour, and order is total', (t) => {
  const [old, fresh] = [taskOf('old', 0, NOW - 2 * AGE_STEP_MS), taskOf('fresh', 1)];
  t.deepEqual([fresh, old].sort(byUrgency(NOW)), [old, fresh]);
  t.deepEqual(
    [taskOf('b'), taskOf('a')].sort(byUrgency(NOW)).map(({ id }) => id),
    ['a', 'b'],
  );
});
