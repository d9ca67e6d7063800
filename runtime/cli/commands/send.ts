/** `send`: events into the inbox, one from the command line or many from a file. */
import { createReadStream, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { fromWireError } from '#runtime/node/api';
import { parseAddress } from '#schemas/address';
import { FabricError, type WireError } from '#schemas/fabric-error';
import { declare, handle, type Shell } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { parseEvent } from '../events.ts';
import { EXIT, type ExitCode, Refused } from '../exit-codes.ts';
import type { Io, Out } from '../io.ts';
import { type Progress, progress } from '../progress.ts';
import { type Realm, withRealm } from '../realm.ts';
import { refusalLines, summaryLine } from '../render/sent.ts';
import { sendLines } from '../send-lines.ts';

/** A message handled a moment ago stands near the end of its actor's entries, unless many others came too. */
const ENTRIES_LOOKED_AT = 200;

interface Options {
  readonly file?: string;
  readonly id?: string;
  readonly wait?: boolean;
}

export function sendCommand(shell: Shell): Command {
  const command = declare({
    name: 'send',
    summary: 'send events that wait for their actor: one, or a file of messages',
    description:
      'Stores events in the inbox: they reach their actor even if it, or the whole node, is down now. A file has one IFMessage a line, {"performative", "from", "to", "conversation", "content"}; it is stamped (id, ts, seq) and signed here with the key of its sender, which is made in the data folder on first use.',
    group: 'Talk',
    examples: [
      ['infrafabric send counter/k1 inc', 'one event'],
      ['infrafabric send --file messages.jsonl --wait', 'IFMessages, until they are handled'],
      ['grep -h request *.jsonl | infrafabric send', 'from stdin'],
    ],
  })
    .argument('[address]', 'type/id')
    .argument('[event]', 'event type, or the event as JSON')
    .argument('[json]', 'fields of the event')
    .option('--file <file>', 'IFMessages, one a line; - for stdin')
    .option('--id <id>', 'message id of a single event: the same id is stored once')
    .option('-w, --wait', 'until every message is handled, with what was refused');
  return handle<[string?, string?, string?], Options>(shell, command, async (run, address, event, json) => {
    const { io, out, options } = run;
    if (address === undefined) {
      if (options.file === undefined && io.stdin.isTTY === true) {
        throw new FabricError(
          cliErrors.usage,
          'Nothing to send: give an address and an event, --file, or lines on stdin',
        );
      }
      return withRealm(options, io, (realm) => many(realm, options, io, out));
    }
    if (options.file !== undefined)
      throw new FabricError(cliErrors.usage, 'Give an address or --file, not both');
    if (event === undefined)
      throw new FabricError(cliErrors.usage, `What to send to ${address}? The event is missing`);
    const { address: to } = parseAddress(address);
    const parsed = parseEvent(event, json);
    return withRealm(options, io, (realm) => one(realm, to, parsed, options, out));
  });
}

async function one(
  realm: Realm,
  to: string,
  event: ReturnType<typeof parseEvent>,
  options: Options,
  out: Out,
): Promise<ExitCode> {
  const receipt = await realm.send(to, event, options.id);
  if (options.wait === true) {
    await realm.handled([{ address: to, seq: receipt.seq }]);
    const refusal = await refusalOf(realm, to, receipt.seq);
    if (refusal !== undefined) throw new Refused(fromWireError(refusal));
  }
  out.data({ ok: true, to, ...receipt, handled: options.wait === true });
  const { good, name, faint } = out.palette;
  const state = options.wait === true ? 'handled' : 'stored';
  out.lines([`${good('✓')} ${state} for ${name(to)}  ${faint(`inbox ${receipt.seq} · id ${receipt.id}`)}`]);
  return EXIT.ok;
}

/** Why a handled message of the inbox became a dead letter; undefined where it did not. */
async function refusalOf(realm: Realm, actor: string, seq: number): Promise<WireError | undefined> {
  const entries = await realm.tail({ actor }, ENTRIES_LOOKED_AT);
  const found = entries.findLast(({ entry }) => entry.cause.kind === 'inbox' && entry.cause.seq === seq);
  return found?.entry.op === 'dead' ? found.entry.error : undefined;
}

async function many(realm: Realm, options: Options, io: Io, out: Out): Promise<ExitCode> {
  const { stream, bytes } = source(options.file, io);
  const bar: Progress = progress(io, out, bytes);
  const startedAt = realm.now();
  try {
    const result = await sendLines(realm, stream, {
      wait: options.wait === true,
      signal: io.signal,
      onLine: (lineBytes, sent) => bar.advance(lineBytes, sent),
    });
    bar.stop();
    for (const refusal of result.refusals) out.data({ ok: false, ...refusal });
    out.data({ ok: result.refusals.length === 0, sent: result.sent, refused: result.refusals.length });
    out.lines([
      ...refusalLines(result.refusals, out),
      summaryLine(result, realm.now() - startedAt, out.palette),
    ]);
    return result.refusals.length === 0 ? EXIT.ok : EXIT.refused;
  } finally {
    bar.stop();
  }
}

function source(
  file: string | undefined,
  io: Io,
): { stream: NodeJS.ReadableStream; bytes: number | undefined } {
  if (file === undefined || file === '-') return { stream: io.stdin, bytes: undefined };
  const path = resolve(io.cwd, file);
  try {
    return { bytes: statSync(path).size, stream: createReadStream(path) };
  } catch (cause) {
    throw new FabricError(cliErrors.file_unreadable, `Cannot read ${path}`, {
      details: { file: path },
      cause,
    });
  }
}
