/** `cost`: what was spent, what things cost, and both as it goes. */
import type { Command } from 'commander';
import { declare, type Shell } from '#runtime/cli/command';
import { ratesCommand } from './rates.ts';
import { reportCommand } from './report.ts';
import { watchCommand } from './watch.ts';

export function costCommand(shell: Shell): Command {
  return declare({
    name: 'cost',
    summary: 'what was spent by whom on what, and the prices behind it',
    group: 'Work',
    examples: [
      ['infrafabric cost report', 'by session, all of them'],
      ['infrafabric cost report --by day,model --since 7d', 'the last week, day by day'],
      ['infrafabric cost report --waste', 'what was spent on work that came to nothing'],
      ['infrafabric cost rates --import prices.yaml', 'set the prices'],
      ['infrafabric cost watch', 'as it is spent'],
    ],
  })
    .addCommand(reportCommand(shell))
    .addCommand(ratesCommand(shell))
    .addCommand(watchCommand(shell));
}
