/** `policy`: who may do what; checked, tried and put into force. */
import type { Command } from 'commander';
import { declare, type Shell } from '#runtime/cli/command';
import { applyCommand, showCommand } from './apply.ts';
import { checkCommand } from './check.ts';
import { dryRunCommand } from './dry-run.ts';
import { testCommand } from './test.ts';

export function policyCommand(shell: Shell): Command {
  return declare({
    name: 'policy',
    summary: 'who may do what: check a policy, try it, put it into force',
    group: 'Work',
    examples: [
      ['infrafabric policy check policy.yaml', 'what is wrong with it, and what means nothing'],
      ['infrafabric policy test policy.yaml cases.yaml', 'requests, and what has to become of them'],
      ['infrafabric policy dry-run policy.yaml --since 2h', 'what it would have decided'],
      ['infrafabric policy apply policy.yaml --reason "first rules"', 'put it into force'],
    ],
  })
    .addCommand(checkCommand(shell))
    .addCommand(testCommand(shell))
    .addCommand(dryRunCommand(shell))
    .addCommand(applyCommand(shell))
    .addCommand(showCommand(shell));
}
