/** `nodes`: the nodes of a realm. */
import type { Command } from 'commander';
import { declare, handle, type Shell } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { withRealm } from '../realm.ts';
import { nodeTable } from '../render/nodes.ts';
import { watching } from '../watching.ts';

interface Options {
  readonly watch?: boolean;
}

export function nodesCommand(shell: Shell): Command {
  const command = declare({
    name: 'nodes',
    summary: 'show the nodes of the realm',
    description:
      'Shows every node of the realm: its state (up, waiting after crashes, draining, leaving), version, capacity, labels, how many shards it runs, and since when it is up.',
    group: 'Look',
    examples: [
      ['infrafabric nodes', 'a row for each node'],
      ['infrafabric nodes --watch', 'the same, kept up to date'],
      ['infrafabric nodes --json | jq -r .name', 'their names'],
    ],
  }).option('-w, --watch', 'look again and again until Ctrl-C');
  return handle<[], Options>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      await watching({ io, out, again: options.watch === true }, async () => {
        const { members } = await realm.members();
        for (const member of members) out.data(member);
        return nodeTable(members, realm.now(), { palette: out.palette, width: out.width });
      });
      return EXIT.ok;
    }),
  );
}
