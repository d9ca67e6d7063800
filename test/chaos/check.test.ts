/** The judge of chaos runs: what it lets pass and what not. */
import test from 'ava';
import { builtins } from '#actors/index';
import { allMachines } from '#actors/machines';
import { createRegistry } from '#runtime/machine/registry';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';
import {
  accountViolations,
  claimViolations,
  counterViolations,
  logViolations,
  notebookViolations,
  registerViolations,
} from './check.ts';
import type { Operation } from './history.ts';
import * as machines from './machines.ts';

const at = (from: number, index: number, to = from + 1) => ({
  client: 'c',
  id: `c.${index}`,
  from,
  to,
  shard: 0,
  index,
});
const inc = (n: number, from: number, index: number): Operation => ({
  op: 'inc',
  key: 'k',
  n,
  ...at(from, index),
});
const register = (op: 'set' | 'get', v: string | null, from: number, index: number): Operation => ({
  op,
  key: 'r',
  v,
  ...at(from, index),
});
const unknown = (what: string, key: string, id = 'c.open'): Operation => ({
  op: 'unknown',
  client: 'c',
  id,
  from: 0,
  to: 9,
  what,
  key,
  error: '',
});

test('an increment that is lost, doubled, made up or out of time is found; an open one may count or not', (t) => {
  const sound = [inc(1, 0, 1), inc(2, 10, 2)];
  t.deepEqual(counterViolations(sound, { k: 2 }), []);
  t.is(counterViolations(sound, { k: 1 }).length, 2, 'lost');
  t.is(counterViolations(sound, { k: 3 }).length, 1, 'made up');
  t.deepEqual(counterViolations([...sound, unknown('inc', 'k')], { k: 3 }), []);
  t.is(counterViolations([inc(1, 0, 1), inc(1, 10, 2)], { k: 2 }).length, 1, 'the same answer twice');
  t.is(counterViolations([inc(2, 0, 5), inc(1, 10, 2)], { k: 2 }).length, 1, 'back in time');
  t.is(counterViolations([unknown('inc', 'k')], { k: 2 }).length, 1);
  t.is(counterViolations([inc(2, 0, 1), inc(1, 0, 2)], { k: 2 }).length, 1, 'commits that count backwards');
});

test('what was answered stands in the log where its answer said, though another took its place in the count', (t) => {
  const history = [inc(1, 0, 1), unknown('inc', 'k'), inc(3, 10, 3)];
  const arrival = (id: string, index: number) => ({ id, key: 'k', shard: 0, index });
  const log = [arrival('c.1', 1), arrival('c.open', 2), arrival('c.3', 3)];
  t.deepEqual(logViolations(history, log), []);
  t.deepEqual(logViolations([inc(1, 0, 1), inc(3, 10, 3)], [arrival('c.1', 1), arrival('c.3', 3)]), []);
  const swapped = [inc(1, 0, 1), unknown('inc', 'k'), inc(2, 10, 3)];
  t.deepEqual(counterViolations(swapped, { k: 2 }), [], 'the count alone cannot tell');
  t.is(logViolations(swapped, [arrival('c.open', 1), arrival('c.3', 3)]).length, 1, 'lost');
  t.is(logViolations(history, [...log, arrival('c.open', 4)]).length, 1, 'an open one twice');
  t.is(logViolations(history, [arrival('c.1', 2), ...log.slice(1)]).length, 1, 'elsewhere');
  const note: Operation = { op: 'note', client: 'c', id: 'c.n', n: 1, from: 0, to: 1 };
  t.is(logViolations([note], []).length, 1);
  t.deepEqual(logViolations([note], [arrival('c.n', 7)]), []);
});

test('a register that reads what was not written last is found, in one commit too', (t) => {
  t.deepEqual(
    registerViolations([register('get', null, 0, 1), register('set', 'a', 5, 2), register('get', 'a', 9, 3)]),
    [],
  );
  t.is(registerViolations([register('set', 'a', 0, 1), register('get', null, 5, 2)]).length, 1, 'stale');
  t.is(
    registerViolations([register('set', 'a', 0, 2), register('get', null, 5, 1)]).length,
    1,
    'out of time',
  );
  const together = [register('set', 'a', 0, 1), register('get', 'b', 0, 1), register('set', 'b', 0, 1)];
  t.deepEqual(registerViolations(together), [], 'a, b, read b');
  t.deepEqual(registerViolations([...together, register('get', 'a', 5, 2)]), [], 'b, read b, a');
  t.is(registerViolations([...together, register('get', 'c', 5, 2)]).length, 1);
  t.is(registerViolations([register('get', 'x', 0, 1), register('set', 'a', 0, 1)]).length, 1);
});

test('a write that was never answered explains its own value, once, and no other', (t) => {
  const open = unknown('set', 'r', 'x');
  const judge = (...operations: Operation[]) => registerViolations([open, ...operations]).length;
  const [a, b] = [register('set', 'a', 0, 1), register('set', 'b', 5, 3)];
  t.is(judge(a, register('get', 'x', 4, 2), b, register('get', 'b', 9, 4)), 0);
  t.is(judge(a, register('get', 'a', 4, 2), b, register('get', 'x', 9, 4)), 0);
  t.is(judge(a, b, register('get', 'a', 9, 4)), 1, 'stale');
  t.is(judge(a, register('get', 'x', 4, 2), b, register('get', 'x', 9, 4)), 1, 'twice');
  t.is(judge(a, register('get', 'x', 4, 2), register('get', 'a', 6, 3)), 1, 'taken back');
  t.is(judge(a, register('get', 'x', 4, 2), register('get', 'q', 4, 2)), 1, 'made up beside it');
});

test('money that is made, lost or owed is found', (t) => {
  const transfer: Operation = { op: 'transfer', key: 'a', done: true, ...at(0, 1) };
  const judge = (balances: Record<string, number>, given = 1, underWay = 0, open: Operation[] = []) =>
    accountViolations([transfer, ...open], {
      balances,
      given: { a: given },
      underWay,
      openingBalance: 10,
      counters: {},
      notebook: { last: {}, outOfTurn: 0 },
    });
  t.deepEqual(judge({ a: 3, b: 17 }), []);
  t.is(judge({ a: 3, b: 16 }).length, 1);
  t.is(judge({ a: -1, b: 21 }).length, 1);
  t.is(judge({ a: 10, b: 10 }, 0).length, 1, 'lost on both sides');
  t.is(judge({ a: 3, b: 17 }, 2).length, 1, 'made twice');
  t.is(judge({ a: 3, b: 17 }, 1, 1).length, 1, 'never came');
  t.deepEqual(judge({ a: 3, b: 17 }, 2, 0, [unknown('transfer', 'a')]), []);
});

test('messages that are missing, too many or out of turn are found', (t) => {
  const notes = [1, 2, 3].map(
    (n): Operation => ({ op: 'note', client: 'c', id: `c.${n}`, n, from: n, to: n }),
  );
  t.deepEqual(notebookViolations(notes, { last: { c: 3 }, outOfTurn: 0 }), []);
  t.deepEqual(notebookViolations(notes, { last: { c: 4 }, outOfTurn: 0 }), [], 'stored, and not answered');
  t.is(notebookViolations(notes, { last: { c: 2 }, outOfTurn: 0 }).length, 1);
  t.is(notebookViolations(notes, { last: {}, outOfTurn: 0 }).length, 1);
  t.is(notebookViolations(notes, { last: { c: 3 }, outOfTurn: 1 }).length, 1);
});

test('two winners of a claim, a token that runs backwards, and a write under an old one are found', (t) => {
  const lease = (client: string, token: number, from: number): Operation => ({
    op: 'lease',
    key: 'l',
    client,
    token,
    from,
    to: from + 2,
  });
  const write = (token: number, accepted: boolean, index: number): Operation => ({
    op: 'fenced',
    key: 'f',
    token,
    accepted,
    ...at(index, index),
  });
  t.deepEqual(claimViolations([lease('a', 1, 0), lease('b', 4, 5)]), []);
  t.is(claimViolations([lease('a', 1, 0), lease('b', 1, 1)]).length, 1);
  t.is(claimViolations([lease('a', 4, 0), lease('b', 1, 5)]).length, 1);
  t.deepEqual(claimViolations([write(1, true, 0), write(4, true, 1), write(1, false, 2)]), []);
  t.is(claimViolations([write(4, true, 0), write(1, true, 1)]).length, 1);
  t.is(claimViolations([write(4, false, 0)]).length, 1);
  t.deepEqual(
    claimViolations([write(1, true, 0), write(4, false, 1), write(5, true, 1)]),
    [],
    'in one commit',
  );
  t.is(claimViolations([write(1, true, 0), write(4, false, 1), write(3, true, 1)]).length, 1);
  const open: Operation = { op: 'unknown', what: 'fenced', key: 'f', error: 'late', ...at(0, 0) };
  t.deepEqual(
    claimViolations([write(4, false, 0), open]),
    [],
    'one without an answer may have had a higher one',
  );
});

test('its machines have names of their own beside those that every node has', async (t) => {
  const registry = createRegistry([...Object.keys(builtins.drivers), ...KERNEL_DRIVERS]);
  const own = Object.values(machines).filter((value) => typeof value === 'object');
  t.is(own.length, 4);
  for (const definition of [...(await allMachines()), ...own]) registry.define(definition);
  t.pass();
});
