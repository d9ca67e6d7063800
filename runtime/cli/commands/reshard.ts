/** `reshard`: another number of shards for a realm that does not run. */
import type { Command } from 'commander';
import { reshard } from '#runtime/node/reshard';
import { SHARDS_MAX } from '#schemas/config';
import { FabricError } from '#schemas/fabric-error';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';
import { declare, handle, type Shell } from '../command.ts';
import { withoutExports } from '../env-mark.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { serverOf } from '../locate.ts';
import { serverToJoin } from '../place.ts';
import { plural } from '../render/format.ts';
import { planOf } from './up.ts';

interface Options {
  readonly shards: string;
  readonly join?: string;
  readonly data?: string;
  readonly config?: string;
}

export function reshardCommand(shell: Shell): Command {
  const command = declare({
    name: 'reshard',
    summary: 'give a stopped realm another number of shards',
    description:
      'Writes every actor, with its timers, effects and remembered message ids, into the logs of the new shards, reads all of it back and compares it, and only then changes the number, in one step. Whatever happens before that step, the realm goes on as it was. Stop every node first, and change `shards:` in the config after.',
    group: 'Run',
    examples: [['infrafabric reshard --shards 16', 'the realm of this folder']],
  })
    .argument('[config]', 'config file, with the number of shards that the realm has')
    .requiredOption('--shards <n>', 'shards from now on')
    .option('--join <server>', 'NATS server of the realm, instead of its own (default NATS_URL)');
  return handle<[string?], Options>(
    shell,
    command,
    async ({ io: shellIo, out, options, builtins: load }, given) => {
      const io = { ...shellIo, env: withoutExports(shellIo.env) };
      const { config, baseDir, dataDir } = await planOf(given ?? options.config, options.data, io, load);
      const builtins = await load();
      const shards = Number(options.shards);
      if (!Number.isInteger(shards) || shards < 1 || shards > SHARDS_MAX || shards === config.shards) {
        throw new FabricError(
          cliErrors.usage,
          `--shards takes another number than ${config.shards}, from 1 to ${SHARDS_MAX}`,
        );
      }
      const named = options.join === undefined ? undefined : serverToJoin(options.join, io.cwd);
      const done = await reshard({
        config,
        baseDir,
        dataDir,
        join: named ?? (config.nats.url === undefined ? serverOf(io.env) : undefined),
        shards,
        machines: builtins.machines,
        driverNames: [...Object.keys(builtins.drivers), ...KERNEL_DRIVERS],
        log: QUIET,
      });
      out.data({ ok: true, ...done });
      const { good, faint, strong } = out.palette;
      out.lines([
        `${good('✓')} ${plural(done.actors, 'actor')} of ${plural(done.from, 'shard')} live in ${done.to} now, each as it was`,
        faint(`  their digest, before and after: ${done.digest}`),
        `  Set ${strong(`shards: ${done.to}`)} in the config before the next start.`,
      ]);
      return EXIT.ok;
    },
  );
}

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
