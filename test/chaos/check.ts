/** Judges histories: pure. Every function gives the violations it found, empty where there is none. */
import type { Commit } from '#schemas/commit';
import { type Arrival, type Operation, type OperationOf, only } from './history.ts';

/** What actors said at the end, when nothing was under way any more. */
export interface Finals {
  readonly counters: Readonly<Record<string, number>>;
  readonly balances: Readonly<Record<string, number>>;
  /** Transfers that each account made, and deposits that nobody has got. */
  readonly given: Readonly<Record<string, number>>;
  readonly underWay: number;
  readonly openingBalance: number;
  readonly notebook: { readonly last: Readonly<Record<string, number>>; readonly outOfTurn: number };
}

export function violations(history: readonly Operation[], finals: Finals): string[] {
  return [
    ...counterViolations(history, finals.counters),
    ...registerViolations(history),
    ...accountViolations(history, finals),
    ...notebookViolations(history, finals.notebook),
    ...claimViolations(history),
  ];
}

/** What asks and sends with an id brought into the log with one commit. */
export function arrivalsOf({ shard, index, entries }: Commit): Arrival[] {
  return entries.flatMap(({ cause, actor, op }) => {
    const isArrival = (cause.kind === 'ask' || cause.kind === 'inbox') && op !== 'dead';
    return isArrival && cause.id !== undefined ? [{ id: cause.id, key: actor, shard, index }] : [];
  });
}

/**
 * What was answered stands in the log once, in the commit that the answer named; what was never answered stands there at
 * most once. So one that was lost is found though another, never answered, took its place in every count.
 */
export function logViolations(history: readonly Operation[], arrivals: readonly Arrival[]): string[] {
  const wrong: string[] = [];
  const byId = Map.groupBy(arrivals, ({ id }) => id);
  for (const [id, { length }] of byId) if (length > 1) wrong.push(`${id} is ${length} times in the log`);
  for (const { id, key, shard, index } of only(history, 'inc', 'set', 'get', 'transfer', 'fenced')) {
    const found = byId.get(id)?.[0];
    if (found?.key === key && found.shard === shard && found.index === index) continue;
    const where = found === undefined ? 'nowhere' : `commit ${found.index} of shard ${found.shard}`;
    wrong.push(`${id} was answered by commit ${index} of shard ${shard} and stands ${where}`);
  }
  for (const { id } of only(history, 'note'))
    if (!byId.has(id)) wrong.push(`${id} was stored and never came`);
  return wrong;
}

/** Every acknowledged increment is in the count exactly once; what was never answered at most once. */
export function counterViolations(
  history: readonly Operation[],
  finals: Readonly<Record<string, number>>,
): string[] {
  const wrong: string[] = [];
  const byKey = Map.groupBy(only(history, 'inc'), ({ key }) => key);
  const unknown = Map.groupBy(
    only(history, 'unknown').filter(({ what }) => what === 'inc'),
    ({ key }) => key,
  );
  for (const key of new Set([...byKey.keys(), ...unknown.keys()])) {
    const answered = byKey.get(key) ?? [];
    const open = unknown.get(key)?.length ?? 0;
    const final = finals[key] ?? 0;
    const seen = new Set<number>();
    for (const { n, client } of answered) {
      if (seen.has(n)) wrong.push(`${key}: two increments were answered with ${n}, one to ${client}`);
      seen.add(n);
      if (n > final) wrong.push(`${key}: an increment was answered with ${n}, the count is ${final}`);
    }
    if (final < answered.length) wrong.push(`${key}: ${answered.length} acknowledged, ${final} counted`);
    if (final > answered.length + open) {
      wrong.push(`${key}: ${final} counted, ${answered.length} acknowledged and ${open} open`);
    }
    wrong.push(...outOfTime(key, answered));
    let last = 0;
    for (const { n, index } of answered.toSorted((a, b) => a.index - b.index || a.n - b.n)) {
      if (n < last) wrong.push(`${key}: commit ${index} counted ${n} after ${last}`);
      last = n;
    }
  }
  return wrong;
}

/**
 * Linearizability of registers. The order of commits is the order of operations: what was read has to be what was
 * written before it in that order, and who began after another ended has to come after it. A write that was never
 * answered may stand anywhere, once: it explains its own value and no other. A register is set to the id of the write.
 */
export function registerViolations(history: readonly Operation[]): string[] {
  const wrong: string[] = [];
  const open = Map.groupBy(
    only(history, 'unknown').filter(({ what }) => what === 'set'),
    ({ key }) => key,
  );
  for (const [key, operations] of Map.groupBy(only(history, 'set', 'get'), (one) => one.key)) {
    let values: ReadonlySet<string | null> = new Set([null]);
    const unplaced = new Set<string | null>(open.get(key)?.map(({ id }) => id));
    const commits = Map.groupBy(operations, ({ index }) => index);
    for (const index of [...commits.keys()].sort((a, b) => a - b)) {
      const together = commits.get(index) ?? [];
      // One that is read has been written by now, before this commit or in it.
      const found = new Set(together.flatMap(({ op, v }) => (op === 'get' && unplaced.has(v) ? [v] : [])));
      for (const v of found) unplaced.delete(v);
      const written: Step[] = [...together, ...[...found].map((v) => ({ op: 'set' as const, v }))];
      const after = new Set([...values].flatMap((value) => endsOf(value, written)));
      if (after.size === 0) {
        const read = together.map(({ op, v }) => `${op} ${v}`).join(', ');
        wrong.push(`${key}: commit ${index} did ${read} where ${[...values].join(' or ')} was written last`);
      }
      values = after.size > 0 ? after : new Set(together.map(({ v }) => v));
    }
    wrong.push(...outOfTime(key, operations));
  }
  return wrong;
}

type Step = Pick<OperationOf<'set' | 'get'>, 'op' | 'v'>;

/** The values that a register may have after one commit did all of these, in an order that nobody was told. */
function endsOf(value: string | null, operations: readonly Step[]): (string | null)[] {
  // Reads of what was there come first and change nothing.
  const left = operations.filter(({ op, v }) => op === 'set' || v !== value);
  if (left.length === 0) return [value];
  return left.flatMap((next, at) => (next.op === 'set' ? endsOf(next.v, left.toSpliced(at, 1)) : []));
}

/** No money is made or lost, and each transfer that was answered was made once. */
export function accountViolations(history: readonly Operation[], finals: Finals): string[] {
  const { balances, openingBalance, given, underWay } = finals;
  const all = Object.values(balances);
  const sum = all.reduce((total, one) => total + one, 0);
  const wrong = sum === openingBalance * all.length ? [] : [`the accounts hold ${sum}`];
  if (underWay !== 0) wrong.push(`${underWay} more transfers were made than came`);
  for (const [key, balance] of Object.entries(balances)) {
    if (balance < 0) wrong.push(`${key}: balance ${balance}`);
    const done = only(history, 'transfer').filter((one) => one.key === key && one.done).length;
    const open = only(history, 'unknown').filter((one) => one.key === key && one.what === 'transfer').length;
    const made = given[key] ?? 0;
    if (made < done || made > done + open) {
      wrong.push(`${key}: ${made} transfers made, ${done} acknowledged and ${open} open`);
    }
  }
  return wrong;
}

/** Every stored message came once, and in the order of its sender. */
export function notebookViolations(
  history: readonly Operation[],
  { last, outOfTurn }: Finals['notebook'],
): string[] {
  const wrong = outOfTurn === 0 ? [] : [`${outOfTurn} messages came out of turn`];
  for (const [client, notes] of Map.groupBy(only(history, 'note'), (one) => one.client)) {
    const stored = Math.max(...notes.map(({ n }) => n));
    const got = last[client] ?? 0;
    // The last one sent may have been stored without an answer.
    if (got !== stored && got !== stored + 1) wrong.push(`${client}: ${stored} stored, ${got} came`);
  }
  return wrong;
}

/** One winner per token, later winners have higher tokens, and nothing is written under a token after a higher one. */
export function claimViolations(history: readonly Operation[]): string[] {
  const wrong: string[] = [];
  for (const [key, leases] of Map.groupBy(only(history, 'lease'), (one) => one.key)) {
    const winners = new Map<number, string>();
    for (const { token, client } of leases) {
      const other = winners.get(token);
      if (other !== undefined) wrong.push(`${key}: token ${token} was given to ${other} and ${client}`);
      winners.set(token, client);
    }
    const byStart = leases.toSorted((a, b) => a.from - b.from);
    for (const [at, lease] of byStart.entries()) {
      const before = byStart[at - 1];
      if (before !== undefined && before.to < lease.from && before.token >= lease.token) {
        wrong.push(`${key}: token ${lease.token} came after ${before.token}`);
      }
    }
  }
  for (const [key, writes] of Map.groupBy(only(history, 'fenced'), (one) => one.key)) {
    const hasOpen = only(history, 'unknown').some(({ what, key: of }) => what === 'fenced' && of === key);
    wrong.push(...fenceViolations(key, writes, hasOpen));
  }
  return wrong;
}

/** Nobody is told the order within a commit: accepted tokens rise in it, and a refused one has a higher one before it or with it. */
function fenceViolations(key: string, writes: readonly OperationOf<'fenced'>[], hasOpen: boolean): string[] {
  const wrong: string[] = [];
  let highest = 0;
  const commits = Map.groupBy(writes, ({ index }) => index);
  for (const index of [...commits.keys()].sort((a, b) => a - b)) {
    const together = commits.get(index) ?? [];
    const before = highest;
    highest = Math.max(before, ...together.filter(({ accepted }) => accepted).map(({ token }) => token));
    for (const { token, accepted } of together) {
      // One that was never answered may have written under a higher token.
      const isRight = accepted ? token >= before : token < highest || hasOpen;
      if (!isRight) {
        wrong.push(
          `${key}: commit ${index} ${accepted ? 'took' : 'refused'} token ${token} after ${highest}`,
        );
      }
    }
  }
  return wrong;
}

/** Who began after another was answered must be committed after it. */
function outOfTime(
  key: string,
  operations: readonly { readonly from: number; readonly to: number; readonly index: number }[],
): string[] {
  const byEnd = operations.toSorted((a, b) => a.to - b.to);
  const byStart = operations.toSorted((a, b) => a.from - b.from);
  const wrong: string[] = [];
  let highest = -1;
  let at = 0;
  for (const { from, index } of byStart) {
    for (let ended = byEnd[at]; ended !== undefined && ended.to < from; ended = byEnd[at]) {
      highest = Math.max(highest, ended.index);
      at += 1;
    }
    if (index < highest) wrong.push(`${key}: commit ${index} began after commit ${highest} was answered`);
  }
  return wrong;
}
