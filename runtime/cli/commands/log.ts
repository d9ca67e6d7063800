/** `log`: what happened, read from the log itself. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { traceIdOf } from '#runtime/index/facets';
import { type LogPlace, parsePlace, seqOf } from '#runtime/index/locate-place';
import { parseAddress } from '#schemas/address';
import type { Severity } from '#schemas/commit';
import { declare, handle, moment, type Shell, wholeNumber } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { indexedLog } from '../indexed-log.ts';
import { openPrivacyView, revealOption } from '../privacy-view.ts';
import { type LogQuery, withRealm } from '../realm.ts';
import { logLine } from '../render/log.ts';

const ENTRIES_SHOWN = 50;

interface Options {
  readonly actor?: string;
  readonly type?: string;
  readonly trace?: string;
  readonly conversation?: string;
  readonly task?: string;
  readonly severity?: Severity;
  readonly fromIndex?: LogPlace;
  readonly since?: number;
  readonly until?: number;
  readonly limit?: number;
  readonly follow?: boolean;
  readonly reveal?: boolean;
}

export function logCommand(shell: Shell): Command {
  const command = declare({
    name: 'log',
    summary: 'show what happened, entry by entry',
    description: `Shows entries of the log: the last ${ENTRIES_SHOWN}, or all since a time. The log is read as it is stored, so this works whatever state the actors are in; where \`infrafabric index build\` made an index, that finds them.`,
    group: 'Look',
    examples: [
      ['infrafabric log', `the last ${ENTRIES_SHOWN} entries`],
      ['infrafabric log --actor counter/k1 --since 10m', 'one actor, the last ten minutes'],
      ['infrafabric log --follow --type task', 'as it happens'],
      ['infrafabric log --task P0.1.1 --severity WARN', 'what went wrong with a task'],
      ['infrafabric log --from-index 0.120 --follow', 'from commit 120 of shard 0 on'],
      ['infrafabric log --since 2026-01-31T12:00:00Z --json > log.jsonl', 'for other tools'],
    ],
  })
    .option('-a, --actor <address>', 'only this actor')
    .option('-t, --type <type>', 'only actors of this type')
    .option('--trace <id>', 'only this trace: its id, or a traceparent', traceId)
    .option('--conversation <name>', 'only messages of this conversation')
    .option('--task <task>', 'only what concerns this task')
    .addOption(
      new Option('--severity <level>', 'this or worse').choices(['INFO', 'WARN', 'HIGH']).argParser(severity),
    )
    .option('--from-index <place>', 'from this commit on: SHARD.INDEX, or a sequence of the log', logPlace)
    .option('--since <time>', 'from then on: 10m ago, or a date and time', moment(Date.now))
    .option('--until <time>', 'up to then', moment(Date.now))
    .option('-n, --limit <n>', 'the last n entries; 0 for all', wholeNumber)
    .option('-f, --follow', 'go on as new entries come, until Ctrl-C')
    .addOption(revealOption());
  return handle<[], Options>(shell, command, async ({ io, out, options }) => {
    const { type, trace, conversation, task, severity: level, since, until, follow = false } = options;
    const query: LogQuery = {
      ...(options.actor !== undefined && { actor: parseAddress(options.actor).address }),
      ...(type !== undefined && { type }),
      ...(trace !== undefined && { trace }),
      ...(conversation !== undefined && { conversation }),
      ...(task !== undefined && { task: taskAddress(task) }),
      ...(level !== undefined && { severity: level }),
      ...(since !== undefined && { since }),
      ...(until !== undefined && { until }),
    };
    const { fromIndex } = options;
    const isBegun = since !== undefined || fromIndex !== undefined;
    const limit = options.limit ?? (isBegun ? 0 : ENTRIES_SHOWN);
    return withRealm(options, io, async (realm) => {
      let seen = 0;
      const from = fromIndex === undefined ? undefined : await seqOf(await realm.openLog(), fromIndex);
      const items = indexedLog(
        realm,
        { ...query, ...(from !== undefined && { from }) },
        { limit, follow, signal: io.signal },
        { io, out },
      );
      const view = await openPrivacyView(realm, out, options);
      for await (const stored of items) {
        const item = await view.show(stored);
        seen += 1;
        out.data(item);
        out.lines([logLine(item, realm.now(), out)]);
        if (io.signal.aborted) break;
      }
      if (seen === 0 && !follow) {
        const all = Object.keys(query).length === 0 && fromIndex === undefined;
        out.lines([all ? 'The log is empty: nothing has happened yet.' : 'No entries match.']);
      }
      return io.signal.aborted ? EXIT.interrupted : EXIT.ok;
    });
  });
}

/** Tasks are mostly named by their id alone. */
export function taskAddress(text: string): string {
  return parseAddress(text.includes('/') ? text : `task/${text}`).address;
}

function traceId(text: string): string {
  const id = traceIdOf(text.toLowerCase());
  if (id === undefined) throw new InvalidArgumentError('Expected 32 hexadecimal digits, or a traceparent.');
  return id;
}

function severity(text: string): string {
  const level = text.toUpperCase();
  if (!['INFO', 'WARN', 'HIGH'].includes(level))
    throw new InvalidArgumentError('Expected INFO, WARN or HIGH.');
  return level;
}

function logPlace(text: string): LogPlace {
  const place = parsePlace(text);
  if (place === undefined)
    throw new InvalidArgumentError('Expected SHARD.INDEX such as 0.120, or a sequence.');
  return place;
}
