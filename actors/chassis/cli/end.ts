/** `chassis kill` and `chassis revoke`: what one can do about a task that is under way. */
import type { Command } from 'commander';
import { type ActingOptions, withActing } from '#actors/coordinator/cli/with-desk';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import type { SandboxReply } from '#schemas/sandbox';
import { taskAddress, withChassis } from './realm.ts';

interface Options extends ActingOptions {
  readonly reason: string;
}

export function killCommand(shell: Shell): Command {
  return ending(shell, 'kill', 'end a task at once', 'killed');
}

export function revokeCommand(shell: Shell): Command {
  return ending(
    shell,
    'revoke',
    'take the grant of a task back: it runs on, and may do nothing outside',
    'runs without its grant',
  );
}

function ending(shell: Shell, name: 'kill' | 'revoke', summary: string, said: string): Command {
  const command = declare({
    name,
    summary,
    group: 'Work',
    examples: [
      [`infrafabric chassis ${name} sandbox/word-count.1 --reason 'not wanted any more'`, 'one task'],
    ],
  })
    .argument('<task>', 'sandbox/ID')
    .requiredOption('--reason <text>', 'why; it stands in the log');
  return handle<[string], Options>(shell, withActing(command), async (run, task) => {
    const { out, options } = run;
    return await withChassis(run, async (chassis) => {
      const address = taskAddress(task);
      const { status } = await chassis.say<SandboxReply>(address, {
        type: `sandbox.${name}`,
        reason: options.reason,
      });
      out.data({ ok: true, task: address, status });
      out.lines([`${out.palette.good('✓')} ${address} ${said}`]);
      return EXIT.ok;
    });
  });
}
