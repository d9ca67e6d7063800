/** `redact`: destroys the key of one subject's personal data, after a look at what it opens. */
import { userInfo } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { Subjects } from '#runtime/bus/subjects';
import { apiRequest, type RedactReply, type RedactRequest } from '#runtime/node/api';
import { privacyErrors } from '#runtime/privacy/errors';
import { type Holding, holdingsOf } from '#runtime/privacy/holdings';
import { redactionAddress } from '#runtime/privacy/redact';
import { FabricError } from '#schemas/fabric-error';
import { declare, handle, type Shell, timeoutOption } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT, type ExitCode, Refused } from '../exit-codes.ts';
import type { Io, Out } from '../io.ts';
import { progress } from '../progress.ts';
import { type Realm, withRealm } from '../realm.ts';
import { type HeldBy, holdingLines } from '../render/holdings.ts';

/** The key is destroyed right after the commit. */
const TIMEOUT_MS_DEFAULT = 30_000;
/** What a node has done cannot be awaited from outside, only looked at. */
const LOOK_EVERY_MS = 25;

interface Options {
  readonly reason?: string;
  readonly by?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly readmit?: boolean;
  readonly force?: boolean;
  readonly timeout: number;
}

export function redactCommand(shell: Shell): Command {
  const command = declare({
    name: 'redact',
    summary: 'destroy the key of a person’s data: it stays in the log and can never be read again',
    description:
      'Destroys the data key of a subject. Its personal fields stay in the log, in snapshots and in archives as ciphertext that nothing opens any more; the chain, proofs and replay hold as before. The order is an entry of the log, with its reason. New data of the subject is refused from then on, until --readmit.',
    group: 'Run',
    examples: [
      ['infrafabric redact person/17 --dry-run', 'which entries hold data of person/17'],
      ['infrafabric redact person/17 --reason "request 2291"', 'destroy the key, after a question'],
      ['infrafabric redact person/17 --reason "request 2291" --yes --json', 'in a script'],
      ['infrafabric redact person/17 --readmit --reason "came back"', 'take new data again, under a new key'],
    ],
  })
    .argument('<subject>', 'whose data: an address, or the name that the events carry')
    .option('--reason <text>', 'why; it is kept in the log')
    .option('--by <name>', 'who says so; the user of this shell when absent')
    .option('-n, --dry-run', 'only list the entries that hold data of the subject')
    .option('-y, --yes', 'without a question')
    .option('--readmit', 'take data of a redacted subject again, under a new key')
    .option('--force', 'also a subject of which no data was ever taken')
    .addOption(timeoutOption(TIMEOUT_MS_DEFAULT));
  return handle<[string], Options>(shell, command, async ({ io, out, options }, subject) => {
    if (options.dryRun === true) {
      return withRealm(options, io, (realm) => list(realm, subject, io, out));
    }
    const { reason } = options;
    if (reason === undefined || reason.trim() === '') {
      throw new FabricError(cliErrors.usage, 'Say why with --reason "…": it is kept in the log');
    }
    const type = options.readmit === true ? 'readmit' : 'redact';
    const request: RedactRequest = {
      type,
      subject,
      reason,
      by: options.by ?? userName(),
      ...(options.force === true && { force: true }),
    };
    return withRealm(options, io, async (realm) => {
      if (type === 'redact' && options.yes !== true) await confirm(subject, io, out);
      return await give(realm, request, options.timeout, out);
    });
  });
}

async function list(realm: Realm, subject: string, io: Io, out: Out): Promise<ExitCode> {
  const log = await realm.openLog();
  const { first, last } = await log.range();
  const bar = progress(io, out, Math.max(0, last - first + 1), 'found');
  const held = new Map<string, HeldBy>();
  let before = 0;
  let entries = 0;
  try {
    const seen = (read: number): void => {
      bar.advance(read - before, entries);
      before = read;
    };
    for await (const holding of holdingsOf(subject, log, seen, io.signal)) {
      entries += 1;
      out.data(holding);
      count(held, holding);
    }
  } finally {
    bar.stop();
  }
  out.data({ ok: true, subject, entries });
  out.lines(holdingLines(subject, [...held.values()], realm.now(), out));
  return io.signal.aborted ? EXIT.interrupted : EXIT.ok;
}

function count(held: Map<string, HeldBy>, { actor, at, fields }: Holding): void {
  const known = held.get(actor) ?? { actor, entries: 0, firstAt: at, lastAt: at, fields: [] };
  held.set(actor, {
    actor,
    entries: known.entries + 1,
    firstAt: Math.min(known.firstAt, at),
    lastAt: Math.max(known.lastAt, at),
    fields: [...new Set([...known.fields, ...fields])],
  });
}

/** Asks on a terminal; elsewhere `--yes` must have been said. */
async function confirm(subject: string, io: Io, out: Out): Promise<void> {
  const refused = new FabricError(
    privacyErrors.redaction_unconfirmed,
    'Nothing was redacted: it was not confirmed',
  );
  if (io.stdin.isTTY !== true || out.json) throw refused;
  const asked = createInterface({ input: io.stdin, output: io.stderr });
  try {
    const answer = await asked.question(
      `This destroys the key of the data of ${subject}, for ever. Type the subject to go on: `,
      { signal: io.signal },
    );
    if (answer.trim() !== subject) throw refused;
  } finally {
    asked.close();
  }
}

async function give(realm: Realm, request: RedactRequest, timeoutMs: number, out: Out): Promise<ExitCode> {
  const counts = (await realm.statuses()).map(({ shardCount = 1 }) => shardCount);
  const subjects = new Subjects(realm.target.prefix, Math.max(1, ...counts));
  const { subject, type } = request;
  const shard = subjects.shardOf(redactionAddress(subject));
  const api = subjects.api(`shard.${shard}.redact`);
  let reply: RedactReply;
  try {
    reply = await apiRequest<RedactReply>(realm.connection, api, request);
  } catch (error) {
    throw error instanceof FabricError && error.code in privacyErrors ? new Refused(error) : error;
  }
  const wanted = type === 'redact' ? 'redacted' : 'open';
  const isDone = await reached(realm, reply.address, wanted, timeoutMs);
  const { commit, address } = reply;
  out.data({ ok: true, subject, address, commit, state: isDone ? wanted : 'under way' });
  out.lines(outcomeLines(request, isDone, reply, out));
  return EXIT.ok;
}

async function reached(realm: Realm, address: string, wanted: string, timeoutMs: number): Promise<boolean> {
  for (const deadline = realm.now() + timeoutMs; realm.now() < deadline; await pause(LOOK_EVERY_MS)) {
    if ((await realm.show(address)).value === wanted) return true;
  }
  return false;
}

function outcomeLines(
  { subject, type }: RedactRequest,
  isDone: boolean,
  { address, commit }: RedactReply,
  { palette }: Out,
): string[] {
  const { good, name, faint } = palette;
  const place = faint(`entry ${commit.shard}.${commit.index} · ${address}`);
  if (!isDone) {
    return [
      `… ordered for ${name(subject)}; the realm goes on until it is done  ${place}`,
      faint(`infrafabric show ${address} says how far it is`),
    ];
  }
  return type === 'redact'
    ? [`${good('✓')} the data of ${name(subject)} is redacted: its key is destroyed  ${place}`]
    : [`${good('✓')} data of ${name(subject)} is taken again, under a new key  ${place}`];
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user without an entry in the system's list, as in many containers.
    return 'operator';
  }
}
