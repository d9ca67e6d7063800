/** Every option of every command, as the help and docs/cli.md show it. */

import test from 'ava';
import type { Command } from 'commander';
import { distribution } from '#actors/distribution';
import { durationMs } from '#runtime/cli/command';
import { processIo } from '#runtime/cli/main';
import { program } from '#runtime/cli/program';

function all(command: Command): Command[] {
  return [command, ...command.commands.flatMap(all)];
}

test('a default reads as what one would type, or is described', async (t) => {
  const io = processIo(new AbortController().signal);
  const commands = all(await program({ io, distribution, exitCode: 0 }, ''));
  t.true(commands.length > 80);
  for (const command of commands)
    for (const { long, defaultValue, defaultValueDescription, parseArg } of command.options) {
      if (defaultValue === undefined) continue;
      const told: unknown = defaultValueDescription ?? (parseArg === durationMs ? undefined : defaultValue);
      const isReadable = typeof told === 'number' || (typeof told === 'string' && told !== '');
      t.true(isReadable, `${command.name()} ${long}: ${JSON.stringify(told)}`);
    }
});
