/** `reload`: applies a changed config as a diff, or only says what it would do. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '#runtime/supervise/load-config';
import { FabricError } from '#schemas/fabric-error';
import { machineNames } from '../builtins.ts';
import { declare, handle, type Shell } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { findConfig, missingConfig } from '../locate.ts';
import { withRealm } from '../realm.ts';
import { planLines } from '../render/plan.ts';
import { treeSettled } from '../tree-settled.ts';

export function reloadCommand(shell: Shell): Command {
  const command = declare({
    name: 'reload',
    summary: 'apply a changed config: start, stop, migrate what differs',
    description:
      'Compares the supervision tree of a config with the running one and applies the difference. Children that did not change keep their state.',
    group: 'Run',
    examples: [
      ['infrafabric reload --dry-run', 'what would change'],
      ['infrafabric reload', 'change it'],
    ],
  })
    .argument('[config]', 'config file; realm.yaml or infrafabric.yaml of this folder when absent')
    .option('-n, --dry-run', 'only print the plan');
  return handle<[string?], { readonly dryRun?: boolean }>(
    shell,
    command,
    async ({ io, out, builtins, options }, given) => {
      const named = given ?? options.config;
      const file = named === undefined ? findConfig(io.cwd) : resolve(io.cwd, named);
      if (file === undefined)
        throw new FabricError(cliErrors.config_missing, `There is no config in ${io.cwd}`);
      if (!existsSync(file)) throw missingConfig(file);
      const { spec, hash } = loadConfig(file, { env: io.env, machines: machineNames(await builtins()) });
      const dryRun = options.dryRun === true;
      return withRealm({ data: options.data, config: file }, io, async (realm) => {
        const plan = await realm.applyConfig({ spec, hash, dryRun });
        if (!dryRun) await treeSettled(realm);
        out.data({ ...plan, dryRun });
        out.lines(planLines(plan, out.palette, dryRun));
        return EXIT.ok;
      });
    },
  );
}
