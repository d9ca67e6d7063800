/** `cluster raise`: more copies of everything, while the realm runs. */
import { Command, Option } from 'commander';
import { raiseReplicas } from '#runtime/bus/cluster-admin';
import { REPLICAS_CLUSTER } from '#runtime/bus/replicas';
import { handle, type Shell } from '../../command.ts';
import { EXIT } from '../../exit-codes.ts';
import { progress } from '../../progress.ts';
import { withRealm } from '../../realm.ts';
import { plural } from '../../render/format.ts';

/** A log of gigabytes takes its time to be copied. */
const TIMEOUT_MS = 600_000;

interface Options {
  readonly copies: string;
}

export function clusterRaiseCommand(shell: Shell): Command {
  const command = new Command('raise')
    .description(
      'give every stream and bucket of the realm more copies; it goes on running, and none has fewer',
    )
    .addOption(
      new Option('--copies <n>', 'copies of each').choices(['3', '5']).default(String(REPLICAS_CLUSTER)),
    );
  return handle<[], Options>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      const copies = Number(options.copies);
      const bar = progress(io, out, 1, 'streams');
      let raised: readonly string[];
      try {
        raised = await raiseReplicas(realm.connection, realm.subjects, copies, {
          timeoutMs: TIMEOUT_MS,
          onDone: (done, of) => bar.advance(done / of, done),
          signal: io.signal,
        });
      } finally {
        bar.stop();
      }
      out.data({ ok: true, copies, raised });
      const { good } = out.palette;
      out.lines([
        raised.length === 0
          ? `Everything had ${copies} copies already.`
          : `${good('✓')} ${plural(raised.length, 'stream')} now with ${copies} copies, all up to date`,
      ]);
      return EXIT.ok;
    }),
  );
}
