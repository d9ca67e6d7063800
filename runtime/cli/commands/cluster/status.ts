/** `cluster status`: which server keeps what, and what it costs to lose one. */
import { Command } from 'commander';
import { readCopies, serversOfCopies } from '#runtime/bus/copies';
import { handle, type Shell } from '../../command.ts';
import { EXIT } from '../../exit-codes.ts';
import { withRealm } from '../../realm.ts';
import { copiesLines } from '../../render/copies.ts';

export function clusterStatusCommand(shell: Shell): Command {
  const command = new Command('status').description(
    'which server keeps what, and what it costs to lose one; fails where a stream has no leader',
  );
  return handle<[], object>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      const copies = await readCopies(realm.connection, realm.subjects);
      const servers = serversOfCopies(copies);
      out.data({ ...copies, servers });
      out.lines(copiesLines(copies, servers, out));
      return copies.streams.every(({ leader }) => leader !== undefined) ? EXIT.ok : EXIT.failure;
    }),
  );
}
