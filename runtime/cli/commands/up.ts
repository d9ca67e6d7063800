/** `up`: runs a node in the foreground, or starts one in the background. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { loadConfig } from '#runtime/supervise/load-config';
import { hashOf } from '#runtime/supervise/spec';
import { realmConfigSchema } from '#schemas/config';
import { FabricError } from '#schemas/fabric-error';
import { type Distribution, machineNames } from '../builtins.ts';
import { declare, handle, type Shell } from '../command.ts';
import { startDetached } from '../detach.ts';
import { withoutExports } from '../env-mark.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { DATA_ROOT, findConfig, mannerOf, missingConfig, readRun, serverOf } from '../locate.ts';
import { type PlaceOptions, placeOf, serverToJoin } from '../place.ts';
import { withRealm } from '../realm.ts';
import { span } from '../render/format.ts';
import { welcomeLines, written } from '../render/welcome.ts';
import { treeSettled } from '../tree-settled.ts';

interface Options extends PlaceOptions {
  readonly data?: string;
  readonly config?: string;
  readonly detach?: boolean;
  readonly join?: string;
}

/** What a node is started with. */
export interface Plan {
  /** Absent for the realm that needs no config. */
  readonly file?: string;
  readonly dataDir: string;
  readonly baseDir: string;
  readonly config: ReturnType<typeof loadConfig>['config'];
  readonly spec: ReturnType<typeof loadConfig>['spec'];
  readonly hash: string;
}

/** Runs without a config: counters that come to life with their first message. */
export const FIRST_REALM = {
  realm: 'counter',
  kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' as const } },
};

export function upCommand(shell: Shell): Command {
  const command = declare({
    name: 'up',
    summary: 'run the realm of this folder',
    description:
      'Runs a node with the config given, the realm.yaml or infrafabric.yaml of this folder, or, where there is none, a first realm of counters. Shows what lives until Ctrl-C, which stops it cleanly; a second Ctrl-C ends it at once, and nothing that was acknowledged is lost either way.',
    group: 'Run',
    examples: [
      ['infrafabric up', 'the realm of this folder'],
      ['infrafabric up deploy/examples/phase0.yaml', 'another config'],
      ['infrafabric up --detach', 'in the background; `infrafabric down` stops it'],
      ['infrafabric up --join nats://10.0.0.5:4222', 'as one more node of a realm'],
      ['infrafabric up --data second --join .infrafabric/counter', 'a second node on this machine'],
    ],
  })
    .argument('[config]', 'config file')
    .option('-d, --detach', 'start in the background and return once it answers')
    .option(
      '--join <server>',
      'join the realm on this NATS server, or that of the node in this data folder, instead of running one (default NATS_URL)',
    )
    .option('--name <name>', 'name of this node over restarts (default: made up once)')
    .option('--capacity <n>', 'share of the shards, relative to other nodes (default 1)')
    .option(
      '--label <label>',
      'what this node has that others may not: sip, or zone=a; may be given again',
      (label, before: readonly string[] = []) => [...before, label],
    );
  return handle<[string?], Options>(
    shell,
    command,
    async ({ io: shellIo, out, options, builtins }, given) => {
      // A node that ended must not be joined because its address still stands in the shell.
      const io = { ...shellIo, env: withoutExports(shellIo.env) };
      const plan = await planOf(given ?? options.config, options.data, io, builtins);
      const running = readRun(plan.dataDir);
      if (running !== undefined) {
        const manner = mannerOf(plan, shellIo);
        const [look, stop] = ['ps', 'down'].map((verb) => written(`infrafabric ${verb}`, manner));
        const help = `\`${look}\` shows what lives there, \`${stop}\` stops it, another --data starts a second one.`;
        throw new FabricError(
          { ...cliErrors.already_running, help },
          `Realm ${running.realm} already runs here, as process ${running.pid} for ${span(Date.now() - running.startedAt)}`,
          { details: { pid: running.pid, dataDir: plan.dataDir } },
        );
      }
      if (options.detach !== true) {
        const { runForeground } = await import('../foreground.ts');
        const named = options.join === undefined ? undefined : serverToJoin(options.join, io.cwd);
        const join = named ?? (plan.config.nats.url === undefined ? serverOf(io.env) : undefined);
        const place = placeOf(options, io.env);
        return runForeground({ plan, join, place, io: shellIo, out, builtins });
      }
      const { run, log, tookMs, failure } = await startDetached(plan.dataDir, io);
      if (plan.spec.children.length > 0)
        await withRealm({ data: plan.dataDir }, io, (realm) => treeSettled(realm, { failure }));
      out.data({ ok: true, pid: run.pid, realm: run.realm, dataDir: plan.dataDir, log });
      const { good, strong, faint, name } = out.palette;
      const manner = mannerOf(plan, shellIo);
      out.lines([
        `${good('✓')} ${strong(run.realm)} runs as process ${run.pid}, started in ${span(tookMs)}`,
        faint(`  log ${log}`),
        '',
        ...welcomeLines(plan.spec, plan.config.kinds, out.palette, manner),
        `  ${name(written('infrafabric down', manner))}`,
      ]);
      return EXIT.ok;
    },
  );
}

/** Finds and loads the config. Throws `config_missing`, `bad_config`. */
export async function planOf(
  given: string | undefined,
  data: string | undefined,
  io: Io,
  builtins: Distribution['builtins'],
): Promise<Plan> {
  const env = data === undefined ? io.env : { ...io.env, INFRAFABRIC_DATA: resolve(io.cwd, data) };
  const file = given === undefined ? findConfig(io.cwd) : resolve(io.cwd, given);
  if (file === undefined) return firstPlan(env, io.cwd);
  if (!existsSync(file)) throw missingConfig(file);
  // Reads YAML and knows what to say about it: a first realm needs neither.
  const { loadConfig } = await import('#runtime/supervise/load-config');
  const loaded = loadConfig(file, { env, machines: machineNames(await builtins()) });
  return { ...loaded, baseDir: resolve(file, '..') };
}

function firstPlan(env: Io['env'], cwd: string): Plan {
  const config = realmConfigSchema.parse(FIRST_REALM);
  const { strategy, intensity, periodMs } = config.supervisor;
  const spec = { strategy, intensity, periodMs, children: [] };
  const wanted = env['INFRAFABRIC_DATA'];
  const dataDir =
    wanted === undefined || wanted === '' ? join(cwd, DATA_ROOT, config.realm) : resolve(cwd, wanted);
  return { config, spec, dataDir, baseDir: cwd, hash: hashOf({ config, spec }) };
}
