/** `export`: the board as the files that `import` reads. */
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { EXPORT_MARK, exportFiles } from '../export/files.ts';
import { writeFiles } from '../export/write.ts';
import { type ActingOptions, withActing, withDesk } from './with-desk.ts';

export function exportCommand(shell: Shell): Command {
  const command = declare({
    name: 'export',
    summary: 'write the board as files: BOARD.md, STATUS-*.yaml and progress.yaml',
    description:
      'Writes BOARD.md with all tasks, a STATUS-*.yaml for each session that has one, and progress.yaml with the state of each session’s work, as `infrafabric import` reads them. An earlier export is written over; a file that something else wrote is left as it is, and named.',
    group: 'Work',
    examples: [
      ['infrafabric export board/', 'into a folder, which is made where it is not there'],
      ['infrafabric import board/*', 'and back, here or in another realm'],
    ],
  }).argument('<folder>', 'where they go');
  return handle<[string], ActingOptions>(shell, withActing(command), async (run, folder) => {
    const { io, out } = run;
    const path = resolve(io.cwd, folder);
    return await withDesk(run, async (desk) => {
      const realm = desk.realm.target.realm ?? desk.realm.target.prefix;
      const { written, same, left } = await writeFiles(
        path,
        exportFiles(await desk.tasks(), realm),
        EXPORT_MARK,
      );
      out.data({ ok: left.length === 0, folder: path, written, same, left });
      const shown = (name: string): string => relative(io.cwd, resolve(path, name));
      out.lines([
        ...written.map((name) => `${out.palette.good('+')} ${shown(name)}`),
        `${written.length} written, ${same.length} the same.`,
      ]);
      if (left.length > 0)
        out.note(
          `Left as they are, since no export wrote them: ${left.map(shown).join(', ')}. Take them away, or name another folder.`,
        );
      return left.length > 0 ? EXIT.refused : EXIT.ok;
    });
  });
}
