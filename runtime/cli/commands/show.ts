/** `show`: one actor, with its context, timers, effects and last entries. */
import type { Command } from 'commander';
import { parseAddress } from '#schemas/address';
import { declare, handle, type Shell, wholeNumber } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { openPrivacyView, revealOption } from '../privacy-view.ts';
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
    .option('-n, --entries <n>', 'as many entries of the log', wholeNumber, ENTRIES_SHOWN)
    .addOption(revealOption());
  return handle<[string], { readonly entries: number; readonly reveal?: boolean }>(
    shell,
    command,
    async ({ io, out, options }, text) => {
      const { address } = parseAddress(text);
      return withRealm(options, io, async (realm) => {
        const view = await openPrivacyView(realm, out, options);
        const actor = await view.show(await realm.show(address));
        const found = options.entries === 0 ? [] : await realm.tail({ actor: address }, options.entries);
        const entries = await view.show(found);
        out.data({ ...actor, entries });
        out.lines(actorLines(actor, entries, realm.now(), out));
        return EXIT.ok;
      });
    },
  );
}
