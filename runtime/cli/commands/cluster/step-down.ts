/** `cluster step-down`: before a server is stopped, others lead what it leads. */
import { Command } from 'commander';
import { stepDown } from '#runtime/bus/cluster-admin';
import { handle, type Shell } from '../../command.ts';
import { EXIT } from '../../exit-codes.ts';
import { withRealm } from '../../realm.ts';
import { plural, span } from '../../render/format.ts';

export function clusterStepDownCommand(shell: Shell): Command {
  const command = new Command('step-down')
    .description('have other servers lead what this one leads, before it is restarted')
    .argument('<server>', 'name of the server, as `infrafabric cluster status` shows it');
  return handle<[string], object>(shell, command, ({ io, out, options }, server) =>
    withRealm(options, io, async (realm) => {
      const startedAt = realm.now();
      const { moved, stay } = await stepDown(realm.connection, realm.subjects, server, { signal: io.signal });
      const tookMs = realm.now() - startedAt;
      out.data({ ok: true, server, moved, stay, tookMs });
      const { good, warn } = out.palette;
      out.lines([
        `${good('✓')} ${server} leads no stream with several copies; ${plural(moved.length, 'stream')} moved in ${span(tookMs)}`,
        ...(stay.length > 0 ? [warn(`  it has the only copy of ${stay.join(', ')}`)] : []),
      ]);
      return EXIT.ok;
    }),
  );
}
