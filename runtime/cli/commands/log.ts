/** `log`: what happened, read from the log itself. */
import type { Command } from 'commander';
import { parseAddress } from '#schemas/address';
import { declare, handle, moment, type Shell, wholeNumber } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { openPrivacyView, revealOption } from '../privacy-view.ts';
import { type LogQuery, withRealm } from '../realm.ts';
import { logLine } from '../render/log.ts';

const ENTRIES_SHOWN = 50;

interface Options {
  readonly actor?: string;
  readonly type?: string;
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
    description: `Shows entries of the log: the last ${ENTRIES_SHOWN}, or all since a time. The log is read as it is stored, so this works whatever state the actors are in.`,
    group: 'Look',
    examples: [
      ['infrafabric log', `the last ${ENTRIES_SHOWN} entries`],
      ['infrafabric log --actor counter/k1 --since 10m', 'one actor, the last ten minutes'],
      ['infrafabric log --follow --type task', 'as it happens'],
      ['infrafabric log --since 2026-01-31T12:00:00Z --json > log.jsonl', 'for other tools'],
    ],
  })
    .option('-a, --actor <address>', 'only this actor')
    .option('-t, --type <type>', 'only actors of this type')
    .option('--since <time>', 'from then on: 10m ago, or a date and time', moment(Date.now))
    .option('--until <time>', 'up to then', moment(Date.now))
    .option('-n, --limit <n>', 'the last n entries; 0 for all', wholeNumber)
    .option('-f, --follow', 'go on as new entries come, until Ctrl-C')
    .addOption(revealOption());
  return handle<[], Options>(shell, command, async ({ io, out, options }) => {
    const { type, since, until, follow = false } = options;
    const query: LogQuery = {
      ...(options.actor !== undefined && { actor: parseAddress(options.actor).address }),
      ...(type !== undefined && { type }),
      ...(since !== undefined && { since }),
      ...(until !== undefined && { until }),
    };
    const limit = options.limit ?? (since === undefined ? ENTRIES_SHOWN : 0);
    return withRealm(options, io, async (realm) => {
      let seen = 0;
      const items = realm.log(query, { limit, follow, signal: io.signal });
      const view = await openPrivacyView(realm, out, options);
      for await (const stored of items) {
        const item = await view.show(stored);
        seen += 1;
        out.data(item);
        out.lines([logLine(item, realm.now(), out)]);
        if (io.signal.aborted) break;
      }
      if (seen === 0 && !follow) {
        const all = Object.keys(query).length === 0;
        out.lines([all ? 'The log is empty: nothing has happened yet.' : 'No entries match.']);
      }
      return io.signal.aborted ? EXIT.interrupted : EXIT.ok;
    });
  });
}
