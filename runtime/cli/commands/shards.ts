/** `shards`: which node owns which shard, and which should. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { FabricError } from '#schemas/fabric-error';
import { declare, handle, type Shell, timeoutOption } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { type Realm, withRealm } from '../realm.ts';
import { plural, span } from '../render/format.ts';
import { isSettled, type ShardRow, shardRows, shardTable } from '../render/nodes.ts';
import { watching } from '../watching.ts';

/** Shards of a node that is back stay ten seconds where they are, and a large one is read for some more. */
const TIMEOUT_MS_DEFAULT = 60_000;
/** Leases change hands within milliseconds; a look costs each node one answer. */
const LOOK_EVERY_MS = 100;

interface Options {
  readonly watch?: boolean;
  readonly wait?: boolean;
  readonly timeout: number;
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
      ['infrafabric shards --wait', 'once every shard runs where it should: after a node came or went'],
      ["infrafabric shards --json | jq 'select(.ownerName == null)'", 'shards that nobody owns'],
    ],
  })
    .addOption(new Option('-w, --watch', 'look again and again until Ctrl-C').conflicts('wait'))
    .option('--wait', 'first wait until every shard runs on the node that should run it')
    .addOption(timeoutOption(TIMEOUT_MS_DEFAULT));
  return handle<[], Options>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      if (options.wait === true) await settled(realm, io, options.timeout);
      await watching({ io, out, again: options.watch === true }, async () => {
        const rows = await look(realm);
        for (const row of rows) out.data(row);
        return shardTable(rows, { palette: out.palette, width: out.width });
      });
      return EXIT.ok;
    }),
  );
}

async function look(realm: Realm): Promise<ShardRow[]> {
  const [members, statuses] = await Promise.all([realm.members(), realm.statuses()]);
  return shardRows(members, statuses);
}

/** Throws `shards_unsettled`. */
async function settled(realm: Realm, io: Io, timeoutMs: number): Promise<void> {
  const deadline = realm.now() + timeoutMs;
  for (;;) {
    const left = (await look(realm)).filter((row) => !isSettled(row));
    if (left.length === 0) return;
    if (realm.now() > deadline) {
      const numbers = left.map(({ shard }) => shard);
      throw new FabricError(
        cliErrors.shards_unsettled,
        `${plural(left.length, 'shard')} did not run where they should after ${span(timeoutMs)}: ${numbers.join(', ')}`,
        { details: { shards: numbers } },
      );
    }
    await pause(LOOK_EVERY_MS, undefined, { signal: io.signal });
  }
}
