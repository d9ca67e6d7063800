/** `report ttt`: what was claimed, by whom, on what grounds, and what others said against it. */
import { Command, Option } from 'commander';
import type { IndexQuery } from '#runtime/index/facets';
import { findEntries, scanEntries } from '#runtime/index/find-entries';
import { TttFold } from '#runtime/index/ttt';
import { tttMarkdown } from '#runtime/index/ttt-markdown';
import { declare, handle, moment, type Shell } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { bringUp, openIndexIfThere } from '../index-file.ts';
import { openPrivacyView, revealOption } from '../privacy-view.ts';
import { withRealm } from '../realm.ts';
import { plainBytes } from '../render/format.ts';
import { taskAddress } from './log.ts';

interface Options {
  readonly since?: number;
  readonly until?: number;
  readonly task?: string;
  readonly format: 'md' | 'json';
  readonly reveal?: boolean;
}

export function reportCommand(shell: Shell): Command {
  const command = declare({
    name: 'report',
    summary: 'reports made from the log',
    group: 'Look',
    examples: [
      ['infrafabric report ttt', 'every claim, its entry, reasons, dissent and status'],
      ['infrafabric report ttt --task P0.1.1 --format json', 'one task, for other tools'],
    ],
  });
  return command.addCommand(tttCommand(shell));
}

function tttCommand(shell: Shell): Command {
  const command = new Command('ttt')
    .description('every claim: traceable to its entry, with reasons and dissent, and its status')
    .option('--since <time>', 'from then on: 10m ago, or a date and time', moment(Date.now))
    .option('--until <time>', 'up to then', moment(Date.now))
    .option('--task <task>', 'only what concerns this task')
    .addOption(new Option('--format <format>', 'Markdown, or JSON').choices(['md', 'json']).default('md'))
    .addOption(revealOption());
  return handle<[], Options>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      const { since, until, task } = options;
      const query: IndexQuery = {
        ...(since !== undefined && { since }),
        ...(until !== undefined && { until }),
        ...(task !== undefined && { task: taskAddress(task) }),
      };
      const reader = await realm.openLog();
      using index = Object.keys(query).length === 0 ? undefined : openIndexIfThere(realm, io.env);
      if (index !== undefined) await bringUp(index, reader, io, out);
      const entries =
        index === undefined
          ? scanEntries(reader, query, io.signal)
          : findEntries(index, reader, query, { order: 'oldest', limit: 0, signal: io.signal });
      const fold = new TttFold();
      const view = await openPrivacyView(realm, out, options);
      for await (const found of entries) fold.add(await view.show(found));
      const report = fold.report();
      out.data(report);
      const name = [realm.target.realm ?? realm.target.prefix, ...(task === undefined ? [] : [task])].join(
        ', ',
      );
      const isJson = options.format === 'json';
      out.lines([isJson ? JSON.stringify(report, plainBytes, 2) : tttMarkdown(report, name).trimEnd()]);
      return io.signal.aborted ? EXIT.interrupted : EXIT.ok;
    }),
  );
}
