/** `policy`: who may do what; checked, tried and put into force. */
import type { Command } from 'commander';
import { declare, type Shell } from '#runtime/cli/command';
import { checkCommand } from './check.ts';
import { testCommand } from './test.ts';

export function policyCommand(shell: Shell): Command {
  return declare({
    name: 'policy',
    summary: 'who may do what: check a policy, try it, put it into force',
    group: 'Work',
    examples: [
      ['infrafabric policy check policy.yaml', 'what is wrong with it, and what means nothing'],
      ['infrafabric policy test policy.yaml cases.yaml', 'requests, and what has to become of them'],
    ],
  })
    .addCommand(checkCommand(shell))
    .addCommand(testCommand(shell));
}
