/**
 * What a commit recorded against what its fold made now: outcomes of its entries, and its mail, effects and timers. The
 * digest covers states alone; a machine that only answers otherwise, or asks others for something else, shows here.
 *
 * D1  Where nothing differs nothing is encoded and nothing made: it is done for every entry of a log.
 * D2  Values are the same where the log would give back the same. What a quick look takes for different is encoded
 *     before it counts.
 * D3  An entry that no machine steps again is no witness: what is dead or a note is taken from the log as it is. Mail
 *     that such an entry sent is in the commit, and a fold does not make it.
 */
import { encode } from '#runtime/bus/codec';
import type { Draft } from '#runtime/shard/draft';
import type { Commit, EffectRecord, Entry, Mail, TimerRecord } from '#schemas/commit';

/** The first thing that differs. */
export type Difference =
  | { readonly in: 'entries'; readonly n: number }
  | {
      readonly in: 'mail' | 'effects' | 'timers';
      /** Its place in the list that was made now. */
      readonly at: number;
      /** Undefined where only the other is there. */
      readonly recorded: Item | undefined;
      readonly replayed: Item | undefined;
    };

type Item = Mail | EffectRecord | TimerRecord;
type Made = Pick<Draft, 'entries' | 'mail' | 'effects' | 'timers'>;

const NONE: readonly never[] = [];

/** Undefined where all that was recorded is made again, and nothing else. */
export function firstDifference(commit: Commit, made: Made): Difference | undefined {
  const { entries } = commit;
  for (let n = 0; n < entries.length; n += 1) {
    const entry = entries[n];
    if (entry !== undefined && !isSameOutcome(entry, made.entries[n])) return { in: 'entries', n };
  }
  return (
    mailDifference(commit, made.mail) ??
    listDifference('effects', commit.effects ?? NONE, made.effects) ??
    listDifference('timers', commit.timers ?? NONE, made.timers)
  );
}

function isSameOutcome(recorded: Entry, made: Entry | undefined): boolean {
  if (made === undefined) return false;
  // D3
  if (recorded.op === 'dead' || recorded.op === 'note') return recorded.op === made.op;
  // Field by field: to go through names costs as much again as to look.
  return (
    recorded.op === made.op &&
    recorded.machine === made.machine &&
    isSame(recorded.after, made.after) &&
    isSame(recorded.reply, made.reply) &&
    isSame(recorded.error, made.error) &&
    isSame(recorded.log, made.log) &&
    recorded.failed === made.failed
  );
}

function listDifference(
  name: 'effects' | 'timers',
  recorded: readonly Item[],
  made: readonly Item[],
): Difference | undefined {
  const count = Math.max(recorded.length, made.length);
  for (let at = 0; at < count; at += 1) {
    if (!isSame(recorded[at], made[at])) return { in: name, at, recorded: recorded[at], replayed: made[at] };
  }
  return undefined;
}

function mailDifference(commit: Commit, made: readonly Mail[]): Difference | undefined {
  const recorded = commit.mail ?? NONE;
  /** Mail lies in the order of its entries, and each that no machine stepped sent at most one. */
  let from = 0;
  let at = 0;
  for (let n = 0; n < recorded.length; n += 1) {
    const item = recorded[n] as Mail;
    const now = made[at];
    if (now !== undefined && isSameMail(commit.index, item, n, now, at)) {
      at += 1;
      continue;
    }
    while (from < commit.entries.length && !hasSent(commit.entries[from] as Entry, item)) from += 1;
    if (from === commit.entries.length) return { in: 'mail', at, recorded: item, replayed: now };
    from += 1;
  }
  return at < made.length ? { in: 'mail', at, recorded: undefined, replayed: made[at] } : undefined;
}

/** Which start of a child a mail begins is told by its own place among the mail of the commit: D3 may shift that. */
function isSameMail(index: number, recorded: Mail, n: number, made: Mail, at: number): boolean {
  const incarnation = made.parent?.incarnation;
  if (n === at || incarnation !== `${index}.${at}`) return isSame(recorded, made);
  return isSame(recorded, { ...made, parent: { ...made.parent, incarnation: `${index}.${n}` } });
}

/** D3: what was due or held went on to another, and a child that could not begin was told of to its parent. */
function hasSent({ op, actor, event, blob, parent }: Entry, { from, to, event: told }: Mail): boolean {
  if (from !== actor) return false;
  if (op === 'dead') return parent?.address === to;
  if (op !== 'note' || event === undefined) return false;
  return blob === undefined ? isSame(event, told) : typeOf(event) === typeOf(told);
}

function typeOf(event: unknown): unknown {
  return typeof event === 'object' && event !== null && 'type' in event ? event.type : undefined;
}

/** D2. */
function isSame(recorded: unknown, made: unknown): boolean {
  if (recorded === made || looksSame(recorded, made)) return true;
  if (recorded === undefined || made === undefined) return false;
  return Buffer.compare(encode(recorded), encode(made)) === 0;
}

/** D1: true for equal plain data, whatever the order of its fields; absent and undefined are one. */
function looksSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return typeof a === 'number' && Number.isNaN(a) && Number.isNaN(b);
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i += 1) if (!looksSame(a[i], b[i])) return false;
    return true;
  }
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  if (!isPlain(a) || !isPlain(b)) return false;
  for (const key in a) if (!looksSame(a[key], b[key])) return false;
  for (const key in b) if (b[key] !== undefined && a[key] === undefined) return false;
  return true;
}

function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
