/** The judge of chaos runs: what it lets pass and what not. */
import test from 'ava';
import {
  accountViolations,
  claimViolations,
  counterViolations,
  journalViolations,
  registerViolations,
} from './check.ts';
import type { Operation } from './history.ts';

const at = (from: number, index: number, to = from + 1) => ({ client: 'c', from, to, shard: 0, index });
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
const unknown = (what: string, key: string): Operation => ({
  op: 'unknown',
  client: 'c',
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

test('money that is made, lost or owed is found', (t) => {
  const judge = (balances: Record<string, number>) =>
    accountViolations({ balances, openingBalance: 10, counters: {}, journal: { last: {}, outOfTurn: 0 } });
  t.deepEqual(judge({ a: 3, b: 17 }), []);
  t.is(judge({ a: 3, b: 16 }).length, 1);
  t.is(judge({ a: -1, b: 21 }).length, 1);
});

test('messages that are missing, too many or out of turn are found', (t) => {
  const notes = [1, 2, 3].map((n): Operation => ({ op: 'note', client: 'c', n, from: n, to: n }));
  t.deepEqual(journalViolations(notes, { last: { c: 3 }, outOfTurn: 0 }), []);
  t.deepEqual(journalViolations(notes, { last: { c: 4 }, outOfTurn: 0 }), [], 'stored, and not answered');
  t.is(journalViolations(notes, { last: { c: 2 }, outOfTurn: 0 }).length, 1);
  t.is(journalViolations(notes, { last: {}, outOfTurn: 0 }).length, 1);
  t.is(journalViolations(notes, { last: { c: 3 }, outOfTurn: 1 }).length, 1);
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
