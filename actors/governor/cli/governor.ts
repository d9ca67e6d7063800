/** `governor`: who may be given work, and why. */
import type { Command } from 'commander';
import { declare, type Shell } from '#runtime/cli/command';
import { breakersCommand, resetCommand } from './breakers.ts';
import { listCommand } from './list.ts';
import { matchCommand } from './match.ts';
import { registerCommand } from './register.ts';
import { taxonomyCommand } from './taxonomy.ts';

export function governorCommand(shell: Shell): Command {
  return declare({
    name: 'governor',
    summary: 'who may be given work, and why: workers, capabilities, matches, breakers',
    group: 'Work',
    examples: [
      [
        'infrafabric governor register ndi --capabilities integration:ndi --cost 12',
        'a worker and its price',
      ],
      ['infrafabric governor list', 'all of them, with what their work showed'],
      ['infrafabric governor match P1.2 --explain', 'who should do it, and what refuses the rest'],
      ['infrafabric governor breakers', 'who is kept from work, and until when'],
    ],
  })
    .addCommand(registerCommand(shell))
    .addCommand(listCommand(shell))
    .addCommand(matchCommand(shell))
    .addCommand(taxonomyCommand(shell))
    .addCommand(breakersCommand(shell))
    .addCommand(resetCommand(shell));
}
