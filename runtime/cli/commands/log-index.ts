/** `index`: the read model that makes questions about a long log quick. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { LogIndex, removeIndex } from '#runtime/index/log-index';
import { declare, handle, type Shell } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { bringUp, indexFileOf, openIndexIfThere } from '../index-file.ts';
import type { Out } from '../io.ts';
import { type Realm, withRealm } from '../realm.ts';
import { clock, count, plural } from '../render/format.ts';

const KIB = 1_024;

interface StatusOptions {
  readonly check?: boolean;
}

export function indexCommand(shell: Shell): Command {
  const command = declare({
    name: 'index',
    summary: 'the index that makes questions about a long log quick',
    description:
      'An index in SQLite says which entries are about which actor, trace, conversation, task or time. It is made from the log, holds nothing that the log does not, and can be dropped at any time. Once built, `infrafabric log` and `infrafabric report` use it and bring it up to date.',
    group: 'Look',
    examples: [
      ['infrafabric index build', 'make it, or bring it up to date'],
      ['infrafabric index status', 'how far it has come'],
      ['infrafabric index drop', 'remove its file'],
    ],
  });
  return command
    .addCommand(statusCommand(shell))
    .addCommand(buildCommand(shell))
    .addCommand(dropCommand(shell));
}

function statusCommand(shell: Shell): Command {
  const command = new Command('status')
    .description('how far the index has come')
    .option('--check', 'look at every page of the file, too');
  return handle<[], StatusOptions>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      using index = openIndexIfThere(realm, io.env);
      if (index === undefined) {
        out.data({ built: false, file: indexFileOf(realm.target, io.env) });
        out.lines(['There is no index yet: `infrafabric index build` makes one.']);
        return EXIT.ok;
      }
      const problems = options.check === true ? index.problems() : [];
      await show(index, realm, out, problems);
      return problems.length === 0 ? EXIT.ok : EXIT.failure;
    }),
  );
}

function buildCommand(shell: Shell): Command {
  const command = new Command('build').description('make the index, or bring it up to date');
  return handle<[], object>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      using index = LogIndex.open(indexFileOf(realm.target, io.env), realm.target.prefix);
      await bringUp(index, await realm.openLog(), io, out);
      if (index.rebuilt !== undefined) out.note(`It was built anew: ${index.rebuilt}.`);
      await show(index, realm, out, []);
      return io.signal.aborted ? EXIT.interrupted : EXIT.ok;
    }),
  );
}

function dropCommand(shell: Shell): Command {
  const command = new Command('drop').description('remove the file of the index; the log stays as it is');
  return handle<[], object>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      const file = indexFileOf(realm.target, io.env);
      const dropped = existsSync(file);
      removeIndex(file);
      out.data({ dropped, file });
      out.lines([dropped ? `Removed ${file}.` : 'There is no index.']);
      return EXIT.ok;
    }),
  );
}

async function show(index: LogIndex, realm: Realm, out: Out, problems: readonly string[]): Promise<void> {
  const status = index.status();
  const { last } = await (await realm.openLog()).range();
  const lag = Math.max(0, last - status.seq);
  out.data({ built: true, ...status, last, lag, ...(problems.length > 0 && { problems }) });
  const { bad, faint, good, strong } = out.palette;
  const isSound = problems.length === 0 && status.whole;
  const behind = lag === 0 ? 'nothing waits' : `${plural(lag, 'commit')} behind`;
  const upTo = status.seq === 0 ? '' : ` · as of ${clock(status.at, realm.now())}`;
  out.lines([
    `${isSound ? good('●') : bad('●')} ${strong(plural(status.entries, 'entry', 'entries'))}  ${faint(`through sequence ${status.seq} of ${last} · ${behind}${upTo}`)}`,
    `  file  ${status.file} ${faint(`(${count(Math.ceil(status.bytes / KIB))} KiB)`)}`,
    ...(status.unreadable === 0
      ? []
      : [bad(`  ${plural(status.unreadable, 'commit')} could not be read: see infrafabric verify`)]),
    ...(status.whole ? [] : ['  Not finished: `infrafabric index build` goes on with it.']),
    ...problems.map((problem) => bad(`  ${problem}`)),
  ]);
}
