/** `show`: one actor, with its context, timers, effects and last entries. */
import type { Command } from 'commander';
import { parseAddress } from '#schemas/address';
import { declare, handle, type Shell, wholeNumber } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { withRealm } from '../realm.ts';
import { actorLines } from '../render/actor.ts';

const ENTRIES_SHOWN = 5;

export function showCommand(shell: Shell): Command {
  const command = declare({
    name: 'show',
    summary: 'show one actor: state, context, timers, pending effects, last entries',
    group: 'Look',
    examples: [
      ['infrafabric show counter/k1', 'one actor'],
      ['infrafabric show supervisor/root --json | jq .context', 'what a machine remembers'],
    ],
  })
    .argument('<address>', 'type/id')
    .option('-n, --entries <n>', 'as many entries of the log', wholeNumber, ENTRIES_SHOWN);
  return handle<[string], { readonly entries: number }>(
    shell,
    command,
    async ({ io, out, options }, text) => {
      const { address } = parseAddress(text);
      return withRealm(options, io, async (realm) => {
        const actor = await realm.show(address);
        const entries = options.entries === 0 ? [] : await realm.tail({ actor: address }, options.entries);
        out.data({ ...actor, entries });
        out.lines(actorLines(actor, entries, realm.now(), out));
        return EXIT.ok;
      });
    },
  );
}
