import test from 'ava';
import type { Command } from 'commander';
import { distribution } from '#actors/distribution';
import { processIo } from '#runtime/cli/main';
import { program } from '#runtime/cli/program';

test('every command about tasks shows an example, takes --json, and says who may act', async (t) => {
  const io = processIo(new AbortController().signal);
  const root = await program({ io, distribution, exitCode: 0 }, '');
  const own = ['task', 'board', 'session', 'why', 'import', 'mirror'];
  const found = root.commands.filter((command) => own.includes(command.name()));
  t.is(found.length, own.length);
  const leaves = found.flatMap((command): readonly Command[] =>
    command.commands.length > 0 ? command.commands : [command],
  );
  t.true(leaves.length >= 18);
  for (const command of leaves) {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    t.regex(help, /Examples:\n {2}infrafabric /, command.name());
    t.regex(help, /--json/, command.name());
    t.regex(help, /--as <who>/, command.name());
  }
});
