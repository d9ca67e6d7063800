/** `completion`: a script for the shell. The script calls the hidden `complete`, which reads the same definitions. */
import tab from '@bomb.sh/tab/commander';
import type { Command } from 'commander';
import { examplesText } from '../command.ts';

/** Adds both to the finished program. */
export function addCompletion(root: Command): void {
  tab(root, { completionCommandName: 'completion' });
  const completion = root.commands.find((command) => command.name() === 'completion');
  completion
    ?.summary('print a completion script for your shell')
    .description(
      'Prints a script that completes commands and options. Load it from the start-up file of your shell.',
    )
    .helpGroup('Set up:')
    .helpOption('-h, --help', 'this help')
    .addHelpText(
      'after',
      examplesText([
        ['source <(infrafabric completion bash)', 'in ~/.bashrc'],
        ['source <(infrafabric completion zsh)', 'in ~/.zshrc'],
        ['infrafabric completion fish | source', 'in ~/.config/fish/config.fish'],
      ]),
    );
}
