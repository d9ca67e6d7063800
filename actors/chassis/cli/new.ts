/** `chassis new`: a guest to begin with. */
import { relative, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { LANGUAGES, type Language, makeGuest } from '../guests/folder.ts';

export function newCommand(shell: Shell): Command {
  const command = declare({
    name: 'new',
    summary: 'write a guest that counts words, with its contract',
    group: 'Work',
    examples: [
      ['infrafabric chassis new word-count', 'in WAT: nothing to install'],
      ['infrafabric chassis new word-count --language c', 'in C, for clang without an SDK'],
    ],
  })
    .argument('<dir>', 'folder of the new guest; its last part is the name of the component')
    .addOption(new Option('--language <language>', 'of its source').choices(LANGUAGES).default('wat'));
  return handle<[string], { readonly language: Language }>(
    shell,
    command,
    async ({ io, out, options }, dir) => {
      const folder = resolve(io.cwd, dir);
      const files = makeGuest(folder, options.language);
      out.data({ folder, files });
      const { good, name } = out.palette;
      out.lines([
        `New guest in ${name(relative(io.cwd, folder))}`,
        ...files.map((file) => `  ${good('+')} ${file}`),
        '',
        `Next: ${name(`infrafabric chassis run ${dir} --input 'to be or not to be'`)}`,
      ]);
      return EXIT.ok;
    },
  );
}
