/** `mirror`: the board as files in a git repository, for those who still poll it. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { declare, durationMs, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { plural } from '#runtime/cli/render/format';
import type { WireError } from '#schemas/fabric-error';
import { formatDuration } from '#schemas/units';
import { mirrorFiles } from '../mirror/files.ts';
import { Git } from '../mirror/git.ts';
import { keepMirrored } from '../mirror/keep.ts';
import { type Mirrored, mirrorOnce } from '../mirror/mirror.ts';
import { type ActingOptions, type OpenDesk, withActing, withDesk } from './with-desk.ts';

const BRANCH_DEFAULT = 'infrafabric/board';
const EVERY_MS_DEFAULT = 30_000;
/** Live events are not stored: a lost one is made up for after this. */
const RESYNC_MS = 60_000;

interface Options extends ActingOptions {
  readonly branch: string;
  readonly folder: string;
  readonly push?: string;
  readonly every: number;
  readonly once?: boolean;
}

export function mirrorCommand(shell: Shell): Command {
  const command = declare({
    name: 'mirror',
    summary: 'keep the board as files in a git repository, for those who still poll it',
    description:
      'Writes BOARD.md and a STATUS-*.yaml per session to a branch, as commits, when the board changes. The branch is one that nobody has checked out; no worktree is touched. Commits of others stay below, and files that others made or changed are left alone and named. A mirror that starts again goes on from what lies in the repository.',
    group: 'Work',
    examples: [
      ['infrafabric mirror ../team', 'a branch of the repository there, until Ctrl-C'],
      ['infrafabric mirror . --push origin --every 1m', 'and push it, never by force'],
      ['infrafabric mirror . --once', 'one look, for cron'],
    ],
  })
    .argument('<repository>', 'folder of a git repository')
    .option('--branch <name>', 'branch to write', BRANCH_DEFAULT)
    .addOption(
      new Option('--folder <path>', 'folder in the repository').argParser(folderName).default('', 'its root'),
    )
    .option('--push <remote>', 'push the branch there')
    .addOption(
      new Option('--every <time>', 'at most one commit in this time')
        .argParser(durationMs)
        .default(EVERY_MS_DEFAULT, formatDuration(EVERY_MS_DEFAULT)),
    )
    .option('--once', 'look once and end');
  return handle<[string], Options>(shell, withActing(command), async (run, repository) => {
    const { options, io, out } = run;
    const git = await Git.open(resolve(io.cwd, repository), io.env);
    return await withDesk(
      run,
      async (desk) => {
        const realm = desk.realm.target.realm ?? desk.realm.target.prefix;
        const { branch, folder, push } = options;
        const mirror = async (): Promise<Mirrored> =>
          await mirrorOnce(mirrorFiles(await desk.tasks(), realm), {
            git,
            realm,
            branch,
            folder,
            author: { name: 'InfraFabric mirror', email: `mirror@${realm}.invalid` },
            now: desk.realm.now,
            ...(push !== undefined && { push }),
          });
        let left = '';
        const told = (done: Mirrored | WireError): void => {
          if ('code' in done) {
            out.data({ ok: false, error: done });
            out.note(`${out.palette.bad(`error[${done.code}]`)}: ${done.message}`);
            return;
          }
          if (done.left.join() !== left && done.left.length > 0)
            out.note(`Left to whoever changed them: ${done.left.join(', ')}`);
          left = done.left.join();
          if (done.changed.length === 0 && options.once !== true) return;
          out.data({ ok: true, branch, ...done });
          const what = done.changed.length === 0 ? 'nothing to change' : plural(done.changed.length, 'file');
          out.lines([`${branch} ${(done.commit ?? 'no commit').slice(0, 12)}: ${what}`]);
        };
        if (options.once === true) {
          told(await mirror());
          return EXIT.ok;
        }
        await keepMirrored({
          everyMs: options.every,
          resyncMs: Math.max(RESYNC_MS, options.every),
          signal: io.signal,
          happened: events(desk),
          mirror,
          told,
        });
        return EXIT.interrupted;
      },
      options.once !== true,
    );
  });
}

/** Gives a function that resolves with the next live event of any task, or once events may have been missed. */
function events({ realm }: OpenDesk): (signal: AbortSignal) => Promise<void> {
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  realm.connection.subscribe(realm.subjects.eventsOf('task', '*'), { callback: wake });
  void (async () => {
    for await (const { type } of realm.connection.status()) if (type === 'reconnect') wake();
  })();
  return (signal) =>
    new Promise((resolve) => {
      waiting.add(resolve);
      signal.addEventListener('abort', () => waiting.delete(resolve), { once: true });
    });
}

/** As git names folders: no slash at either end. */
function folderName(text: string): string {
  return text.replaceAll(/^\.?\/+|\/+$|^\.$/g, '');
}
