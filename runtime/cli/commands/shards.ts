/** `shards`: which node owns which shard, and which should. */
import type { Command } from 'commander';
import { declare, handle, type Shell } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { withRealm } from '../realm.ts';
import { shardRows, shardTable } from '../render/nodes.ts';
import { watching } from '../watching.ts';

interface Options {
  readonly watch?: boolean;
}

export function shardsCommand(shell: Shell): Command {
  const command = declare({
    name: 'shards',
    summary: 'show which node owns which shard',
    description:
      'Shows for every shard its owner, phase, epoch, last commit and actors; where it should be another node’s, which; and which nodes can never own it and why.',
    group: 'Look',
    examples: [
      ['infrafabric shards', 'a row for each shard'],
      ['infrafabric shards --watch', 'the same, kept up to date'],
      ["infrafabric shards --json | jq 'select(.ownerName == null)'", 'shards that nobody owns'],
    ],
  }).option('-w, --watch', 'look again and again until Ctrl-C');
  return handle<[], Options>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      await watching({ io, out, again: options.watch === true }, async () => {
        const [members, statuses] = await Promise.all([realm.members(), realm.statuses()]);
        const rows = shardRows(members, statuses);
        for (const row of rows) out.data(row);
        return shardTable(rows, { palette: out.palette, width: out.width });
      });
      return EXIT.ok;
    }),
  );
}
