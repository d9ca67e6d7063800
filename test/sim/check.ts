/** Checks after a schedule: each promise, against what the clients know and what the log says. */
import type { Entry } from '#schemas/commit';
import type { Outcome } from './client.ts';
import type { SimDrivers } from './drivers.ts';
import type { History } from './history.ts';
import { isMadeBy, type Op } from './load.ts';
import type { Server } from './server.ts';
import type { World } from './world.ts';

/** What an actor of a schedule holds. */
export interface Held {
  readonly got: readonly string[];
  readonly balance: number;
}

/** A shard was handed from one node to another, between two times. */
export interface Move {
  readonly shard: number;
  readonly from: number;
  readonly to: number;
}

export interface Evidence {
  readonly world: World;
  readonly server: Server;
  readonly history: History;
  readonly outcomes: readonly Outcome[];
  readonly drivers: SimDrivers;
  readonly held: ReadonlyMap<string, Held>;
  readonly moves: readonly Move[];
  /** What each operation made in the log. */
  readonly entriesOf: ReadonlyMap<Op, readonly Entry[]>;
}

const NOTHING: Held = { got: [], balance: 0 };

export function checkAll(found: Omit<Evidence, 'entriesOf'>): void {
  const entriesOf = new Map(
    found.outcomes.map(({ op }) => [
      op,
      found.history.arrivals.flatMap(({ entry }) => (isMadeBy(entry, op) ? [entry] : [])),
    ]),
  );
  const evidence = { ...found, entriesOf };
  checkOnce(evidence);
  checkLabels(evidence);
  checkMoney(evidence);
  checkOrder(evidence);
  checkReads(evidence);
  checkMail(evidence);
  checkTimers(evidence);
  checkEffects(evidence);
  checkDead(evidence);
}

/** An accepted message is one entry; one that was given up is at most one; nothing else is there. */
function checkOnce({ world, history, outcomes, entriesOf }: Evidence): void {
  let known = 0;
  for (const { op, end } of outcomes) {
    const made = entriesOf.get(op) ?? [];
    known += made.length;
    if (made.length > 1) world.violate(`${op.id} is ${made.length} times in the log`);
    if (made.length === 0 && end !== 'given_up') world.violate(`${op.id} (${end}) is not in the log`);
    if (end === 'refused' && made.some((entry) => entry.op !== 'dead'))
      world.violate(`${op.id} was refused for good and is done`);
  }
  if (known !== history.arrivals.length)
    world.violate(`${history.arrivals.length - known} entries nobody sent`);
}

/** Every entry left its marks once, and every mark has its entry. */
function checkLabels({ world, outcomes, held, entriesOf }: Evidence): void {
  const expected = new Map<string, Set<string>>();
  const expect = (actor: string, label: string): void => {
    expected.set(actor, (expected.get(actor) ?? new Set()).add(label));
  };
  for (const { op } of outcomes) {
    const entry = entriesOf.get(op)?.[0];
    if (entry === undefined || entry.op === 'dead') continue;
    const { kind, actor, label } = op;
    if (kind === 'get' || kind === 'tick' || kind === 'boom') continue;
    expect(actor, label);
    if (kind === 'give' || kind === 'post') expect(op.to, `${label}>`);
    if (kind === 'later') expect(actor, `${label}+`);
    if (kind === 'open') expect(actor, `${label}~`);
    if (kind === 'call') expect(actor, `${label}!`);
  }
  for (const actor of new Set([...expected.keys(), ...held.keys()])) {
    const want = expected.get(actor) ?? new Set();
    const got = held.get(actor)?.got ?? [];
    for (const label of want) {
      const times = got.filter((l) => l === label).length;
      if (times !== 1) world.violate(`${label} stands ${times} times at ${actor}`);
    }
    for (const label of got) if (!want.has(label)) world.violate(`${label} stands at ${actor} for no reason`);
  }
}

/** What one gives another gets. */
function checkMoney({ world, outcomes, held, entriesOf }: Evidence): void {
  let sum = 0;
  for (const { balance } of held.values()) sum += balance;
  for (const { op } of outcomes) {
    const entry = entriesOf.get(op)?.[0];
    if (op.kind === 'stray' && entry !== undefined && entry.op !== 'dead') sum += op.amount;
  }
  if (sum !== 0) world.violate(`${sum} too much in all accounts`);
}

/** Per sender and actor: asks and sends that were published once, and mail always. Asks under way in a move are in no order. */
function checkOrder({ world, server, history, outcomes, held, moves }: Evidence): void {
  const lanes = new Map<string, string[]>();
  for (const { op, tries, end, firstAt = 0, endAt = 0 } of outcomes) {
    if (tries !== 1 || end !== 'done' || op.door === 'short' || op.kind === 'get') continue;
    const shard = server.subjects.shardOf(op.actor);
    const isMoving = moves.some((move) => move.shard === shard && firstAt < move.to && endAt > move.from);
    if (op.door === 'ask' && isMoving) continue;
    const lane = `${op.label.split('.')[0]} ${op.door} ${op.actor}`;
    lanes.set(lane, [...(lanes.get(lane) ?? []), op.label]);
  }
  for (const [lane, labels] of lanes) {
    const got = held.get(lane.split(' ')[2] ?? '')?.got ?? [];
    checkSame(world, lane, labels, got);
  }
  const mailLanes = new Map<string, string[]>();
  for (const [, { from, to, event }] of history.mail) {
    const { type, label } = (event ?? {}) as { type?: string; label?: string };
    if (type !== 'take' || label === undefined) continue;
    const lane = `mail ${from} ${to}`;
    mailLanes.set(lane, [...(mailLanes.get(lane) ?? []), label]);
  }
  for (const [lane, labels] of mailLanes)
    checkSame(world, lane, labels, (held.get(lane.split(' ')[2] ?? '') ?? NOTHING).got);
}

function checkSame(world: World, lane: string, labels: readonly string[], got: readonly string[]): void {
  let last = -1;
  for (const label of labels) {
    const at = got.indexOf(label);
    if (at < 0) continue;
    if (at < last) world.violate(`order: ${label} was overtaken (${lane})`);
    last = at;
  }
}

/** Every answer shows a prefix of what came, and no answer shows less than one that ended before it was asked. */
function checkReads({ world, outcomes, held }: Evidence): void {
  const reads = outcomes.flatMap((outcome) => {
    const seen = (outcome.reply as Partial<Held> | undefined)?.got;
    return seen === undefined ? [] : [{ ...outcome, seen }];
  });
  for (const { op, seen, firstAt } of reads) {
    const got = held.get(op.actor)?.got ?? [];
    if (seen.some((label, at) => got[at] !== label)) world.violate(`${op.id} was shown what never was`);
    for (const earlier of reads) {
      if (earlier.op.actor !== op.actor || (earlier.endAt ?? 0) >= (firstAt ?? 0)) continue;
      if (earlier.seen.length > seen.length)
        world.violate(`${op.id} was shown less than ${earlier.op.id} before`);
    }
  }
}

function checkMail({ world, history }: Evidence): void {
  for (const key of history.mail.keys()) {
    const times = history.mailTaken.get(key) ?? 0;
    if (times !== 1) world.violate(`mail ${key} was taken ${times} times`);
  }
  for (const key of history.mailTaken.keys())
    if (!history.mail.has(key)) world.violate(`mail ${key} was taken and never sent`);
}

function checkTimers({ world, history }: Evidence): void {
  for (const key of history.timers.keys()) {
    const times = history.timersFired.get(key) ?? 0;
    if (times !== 1) world.violate(`timer ${key} fired ${times} times`);
  }
  for (const key of history.timersFired.keys())
    if (!history.timers.has(key)) world.violate(`timer ${key} fired and was never set`);
}

/** Each under its own key, at least once; its result once. */
function checkEffects({ world, history, drivers }: Evidence): void {
  const keys = new Map<string, Set<string>>();
  for (const { driver, key, label } of drivers.calls) {
    const name = `${driver} ${label}`;
    keys.set(name, (keys.get(name) ?? new Set()).add(key));
  }
  for (const [name, under] of keys)
    if (under.size > 1) world.violate(`effect ${name} ran under ${under.size} keys`);
  const called = new Set(drivers.calls.map(({ key }) => key));
  for (const key of history.effects.keys()) {
    if (!called.has(key)) world.violate(`effect ${key} never ran`);
    const times = history.effectsDone.get(key) ?? 0;
    if (times !== 1) world.violate(`effect ${key} has ${times} results`);
  }
}

/** What was refused is told: asks by their answer, everything else by a letter. */
function checkDead({ world, server, history }: Evidence): void {
  const due = new Set<string>();
  for (const { entry, commit, n } of history.entries) {
    if (entry.op !== 'dead') continue;
    if (entry.cause.kind === 'ask' && entry.error?.code !== 'machine_threw') continue;
    due.add(`${commit.shard}.${commit.index}.${n}`);
  }
  for (const id of due) if (!server.dead.has(id)) world.violate(`dead letter ${id} is missing`);
  for (const id of server.dead.keys()) if (!due.has(id)) world.violate(`dead letter ${id} has no entry`);
}
