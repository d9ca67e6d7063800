/** `chassis`: strangers' code in a jail, from its source to its record. */
import type { Command } from 'commander';
import { declare, type Shell } from '#runtime/cli/command';
import { benchCommand } from './bench.ts';
import { buildCommand } from './build.ts';
import { checkCommand } from './check.ts';
import { killCommand, revokeCommand } from './end.ts';
import { listCommand } from './list.ts';
import { newCommand } from './new.ts';
import { publishCommand } from './publish.ts';
import { replayCommand } from './replay.ts';
import { runCommand } from './run.ts';
import { showCommand } from './show.ts';
import { submitCommand } from './submit.ts';

export function chassisCommand(shell: Shell): Command {
  return declare({
    name: 'chassis',
    summary: 'untrusted work in a jail: components, their contracts, their tasks',
    group: 'Work',
    examples: [
      ['infrafabric chassis new word-count', 'a component that counts words, in WAT'],
      ['infrafabric chassis run word-count --input "to be or not"', 'here, as it would run in a realm'],
      ['infrafabric chassis publish word-count', 'into the realm'],
      ['infrafabric chassis submit word-count --input "to be" --wait', 'a task for it'],
      ['infrafabric chassis replay sandbox/word-count.1', 'run it again and compare'],
    ],
  })
    .addCommand(newCommand(shell))
    .addCommand(buildCommand(shell))
    .addCommand(checkCommand(shell))
    .addCommand(runCommand(shell))
    .addCommand(benchCommand(shell))
    .addCommand(publishCommand(shell))
    .addCommand(submitCommand(shell))
    .addCommand(listCommand(shell))
    .addCommand(showCommand(shell))
    .addCommand(killCommand(shell))
    .addCommand(revokeCommand(shell))
    .addCommand(replayCommand(shell));
}
