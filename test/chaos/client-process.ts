/** A client of the chaos run: asks, sends and claims until told to stop, and writes what it did to a file. */
import { createWriteStream } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { systemClock, systemRandom } from '#runtime/bus/system';
import { acquireLease } from '#runtime/claims/lease';
import { natsLeases } from '#runtime/claims/nats-leases';
import { type Answer, type Client, connect } from '#runtime/client/node';
import { seededRandom } from '#runtime/testing/testing';
import { silentLogger } from '../rig/nats.ts';
import type { Operation } from './history.ts';

/** Longer than any fault and what comes after it. */
const ASK_TIMEOUT_MS = 120_000;
const COUNTERS = 24;
const REGISTERS = 12;
export const ACCOUNTS = 10;
const CLAIMS = 3;
const INC_LOOPS = 6;
const REGISTER_LOOPS = 4;
const CLAIM_TTL_MS = 2_000;
const HOLD_MS_MAX = 300;
/** Between two operations of a loop: what is under test is order and loss, not load. */
const THINK_MS = 4;

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: '' },
    name: { type: 'string', default: 'c' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: '' },
  },
});
const { name, url } = values;
const random = seededRandom(Number(values.seed));
const history = createWriteStream(values.out, { flags: 'a' });
/** Notes sent. */
let noted = 0;
const stopping = new AbortController();
process.stdin.on('end', () => stopping.abort()).resume();
process.once('SIGTERM', () => stopping.abort());

const client = await connect({ url, from: name });
const loops = [
  ...Array.from({ length: INC_LOOPS }, (_, n) => loop(`inc${n}`, incOnce)),
  ...Array.from({ length: REGISTER_LOOPS }, (_, n) => loop(`reg${n}`, registerOnce)),
  loop('transfer', transferOnce),
  loop('note', noteOnce),
  ...Array.from({ length: CLAIMS }, (_, n) => loop(`claim${n}`, (id) => claimOnce(n, id))),
];
await Promise.all(loops);
history.end();
await client.close();

async function loop(part: string, once: (id: string) => Promise<void>): Promise<void> {
  for (let n = 0; !stopping.signal.aborted; n += 1) {
    await once(`${name}.${part}.${n}`);
    await pause(THINK_MS);
  }
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

function pick(below: number): number {
  return Math.floor(random.next() * below);
}

function write(operation: Operation): void {
  history.write(`${JSON.stringify(operation)}\n`);
}

/** Asks until there is an answer; undefined, and a line about it, where there is none. */
async function ask(
  what: string,
  key: string,
  event: { readonly type: string; readonly [field: string]: unknown },
  id: string,
): Promise<{ readonly answer: Answer; readonly from: number; readonly to: number } | undefined> {
  const from = now();
  try {
    const answer = await client.ask(key, event, { id, timeoutMs: ASK_TIMEOUT_MS });
    return { answer, from, to: now() };
  } catch (thrown) {
    write({ op: 'unknown', client: name, id, what, key, from, to: now(), error: String(thrown) });
    return undefined;
  }
}

async function incOnce(id: string): Promise<void> {
  const key = `counter/k${pick(COUNTERS)}`;
  const done = await ask('inc', key, { type: 'inc' }, id);
  if (done === undefined) return;
  const { answer, from, to } = done;
  const { n } = answer.reply as { n: number };
  write({ op: 'inc', client: name, id, key, from, to, n, ...answer.commit });
}

async function registerOnce(id: string): Promise<void> {
  const key = `register/r${pick(REGISTERS)}`;
  const op = random.next() < 0.5 ? 'set' : 'get';
  const done = await ask(op, key, op === 'set' ? { type: 'set', v: id } : { type: 'get' }, id);
  if (done === undefined) return;
  const { v } = done.answer.reply as { v: string | null };
  write({ op, client: name, id, key, from: done.from, to: done.to, v, ...done.answer.commit });
}

async function transferOnce(id: string): Promise<void> {
  const from = pick(ACCOUNTS);
  const to = (from + 1 + pick(ACCOUNTS - 1)) % ACCOUNTS;
  const key = `account/a${from}`;
  const event = { type: 'transfer', to: `account/a${to}`, amount: 1 + pick(50) };
  const answered = await ask('transfer', key, event, id);
  if (answered === undefined) return;
  const { done } = answered.answer.reply as { done: boolean };
  const { commit } = answered.answer;
  write({ op: 'transfer', client: name, id, key, from: answered.from, to: answered.to, done, ...commit });
}

/** The next one is sent once this one is stored: order is kept per sender. */
async function noteOnce(id: string): Promise<void> {
  noted += 1;
  const from = now();
  for (;;) {
    try {
      await client.send(
        'notebook/j',
        { type: 'note', sender: name, n: noted },
        { id, timeoutMs: ASK_TIMEOUT_MS },
      );
      write({ op: 'note', client: name, id, n: noted, from, to: now() });
      return;
    } catch (thrown) {
      if (!stopping.signal.aborted) continue;
      write({
        op: 'unknown',
        client: name,
        id,
        what: 'note',
        key: 'notebook/j',
        from,
        to: now(),
        error: String(thrown),
      });
      return;
    }
  }
}

async function claimOnce(nth: number, id: string): Promise<void> {
  const key = `chaos.${nth}`;
  const lease = await takeLease(client, key).catch(() => undefined);
  if (lease === undefined) return;
  const from = now();
  const fenced = `fenced/f${nth}`;
  await Promise.race([pause(pick(HOLD_MS_MAX)), lease.lost]);
  const done = await ask('fenced', fenced, { type: 'write', token: lease.token }, id);
  await lease.release().catch(() => undefined);
  write({ op: 'lease', client: name, key, token: lease.token, from, to: now() });
  if (done === undefined) return;
  const { accepted } = done.answer.reply as { accepted: boolean };
  const { commit } = done.answer;
  write({
    op: 'fenced',
    client: name,
    id,
    key: fenced,
    from: done.from,
    to: done.to,
    token: lease.token,
    accepted,
    ...commit,
  });
}

async function takeLease(through: Client, key: string) {
  const store = await natsLeases(through.connection, 'if_claims');
  return await acquireLease({
    store,
    key,
    holder: name,
    ttlMs: CLAIM_TTL_MS,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
}
