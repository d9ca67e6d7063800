/**
 * Which realm a command means. In this order: --data, --config, INFRAFABRIC_DATA, the config in this folder, the one
 * realm that runs under ./.infrafabric, and NATS_URL for realms on a server of their own.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { isStillAlive } from '#runtime/bus/pid';
import type { RunFile } from '#runtime/node/api';
import { interpolate } from '#runtime/supervise/interpolate';
import { FabricError } from '#schemas/fabric-error';
import { withoutExports } from './env-mark.ts';
import { cliErrors } from './errors.ts';
import type { Manner } from './render/welcome.ts';

const require = createRequire(import.meta.url);

export const CONFIG_NAMES = ['realm.yaml', 'infrafabric.yaml'] as const;
export const DATA_ROOT = '.infrafabric';
/** What a node in the background says, in its data folder. */
export const NODE_LOG = 'node.log';
const PREFIX_DEFAULT = 'if';

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

export interface Choice {
  /** File of the key to sign on with. */
  readonly nkey?: string | undefined;
  readonly data?: string | undefined;
  readonly config?: string | undefined;
}

/** A realm that can be spoken to. */
export interface Target {
  readonly url: string;
  readonly token?: string;
  readonly prefix: string;
  /** Unknown where only a server's address is known. */
  readonly realm?: string;
  readonly dataDir?: string;
  readonly run?: RunFile;
  /** Keys sign on there. */
  readonly secure?: boolean;
  /** Where the certificate of the server's authority lies. */
  readonly ca?: string;
  /** File of the key to sign on with; one of the data folder's where absent. */
  readonly nkey?: string;
}

const runFileSchema = z.object({
  pid: z.int().min(1),
  processStartTime: z.string().optional(),
  nodeId: z.string(),
  realm: z.string(),
  prefix: z.string(),
  url: z.string(),
  token: z.string().optional(),
  websocketUrl: z.string().optional(),
  joined: z.boolean().optional(),
  secure: z.object({ ca: z.string().optional() }).optional(),
  startedAt: z.number(),
});

/** Finds a running realm, and as whom to sign on to it. Throws `not_running` or `ambiguous_realm`. */
export function locate(choice: Choice, around: Surroundings): Target {
  const target = locateRealm(choice, around);
  const filled = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
  const nkey = choice.nkey ?? filled(around.env['INFRAFABRIC_NKEY']);
  const ca = target.ca ?? filled(around.env['INFRAFABRIC_CA']);
  return {
    ...target,
    ...((nkey !== undefined || ca !== undefined) && { secure: true }),
    ...(nkey !== undefined && { nkey: resolve(around.cwd, nkey) }),
    ...(ca !== undefined && { ca: resolve(around.cwd, ca) }),
  };
}

function locateRealm(choice: Choice, { env: given, cwd }: Surroundings): Target {
  if (choice.data !== undefined) return fromData(resolve(cwd, choice.data), { env: given, cwd });
  const named = choice.config === undefined ? undefined : resolve(cwd, choice.config);
  if (named !== undefined && !existsSync(named)) throw missingConfig(named);
  const config = named ?? findConfig(cwd);
  // A config at hand is nearer than what `infrafabric env` once left in the shell.
  const env = config === undefined ? given : withoutExports(given);
  const wanted = env['INFRAFABRIC_DATA'];
  if (named === undefined && wanted !== undefined && wanted !== '') {
    return fromData(resolve(cwd, wanted), { env, cwd }, { isFromShell: true });
  }
  const elsewhere = serverOf(env);
  if (config !== undefined) {
    const peek = peekConfig(config, env);
    const server = peek.url ?? elsewhere;
    if (server === undefined || readRun(peek.dataDir) !== undefined) {
      return fromData(peek.dataDir, { env, cwd }, { config });
    }
    // No node here, maybe elsewhere; the keys of senders are kept here all the same.
    return {
      url: server,
      prefix: peek.prefix,
      dataDir: peek.dataDir,
      ...realmOf(peek.realm),
      ...(peek.secure && { secure: true, ...(peek.ca !== undefined && { ca: peek.ca }) }),
    };
  }
  const running = runningUnder(join(cwd, DATA_ROOT));
  const [only, second] = running;
  if (second !== undefined) {
    const names = running.map(({ dataDir }) => dataDir).join('\n');
    throw new FabricError(cliErrors.ambiguous_realm, `Several realms run here:\n${names}`);
  }
  if (only !== undefined) return only;
  if (elsewhere !== undefined) return { url: elsewhere, prefix: env['INFRAFABRIC_PREFIX'] ?? PREFIX_DEFAULT };
  throw notRunning(`No realm runs in ${cwd}`, { dataDir: join(cwd, DATA_ROOT) }, { env, cwd });
}

/** How to write a command that means the realm which runs in this data folder. */
export function mannerOf(
  { dataDir, file }: { readonly dataDir: string; readonly file?: string },
  around: Surroundings,
): Manner {
  const program = programOf(around);
  if (found({}, around) === dataDir) return { program, options: '' };
  const byFile = file !== undefined && found({ config: file }, around) === dataDir;
  const [option, path] = byFile ? ['--config', file] : ['--data', dataDir];
  return { program, options: `${option} ${relative(around.cwd, path)}` };
}

function found(choice: Choice, around: Surroundings): string | undefined {
  try {
    return locate(choice, around).dataDir;
  } catch {
    // Not found, or not the only one: the command has to name it.
    return undefined;
  }
}

/** The config of a folder, by its usual names. */
export function findConfig(folder: string): string | undefined {
  return CONFIG_NAMES.map((name) => join(folder, name)).find((file) => existsSync(file));
}

/** What a config says of where its realm is; the rest of it may be wrong. */
export function peekConfig(
  file: string,
  env: Surroundings['env'],
): {
  readonly realm?: string;
  readonly prefix: string;
  readonly url?: string;
  readonly dataDir: string;
  readonly secure: boolean;
  readonly ca?: string;
} {
  const raw = readLoosely(file);
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' ? interpolate(value, env).text : undefined;
  const realm = text(raw['realm']);
  const found = raw['nats'];
  const nats: Record<string, unknown> = typeof found === 'object' && found !== null ? { ...found } : {};
  const [url, ca] = [text(nats['url']), text(nats['ca'])];
  return {
    ...realmOf(realm),
    ...(url !== undefined && { url }),
    secure: nats['secure'] === true,
    ...(ca !== undefined && { ca: resolve(dirname(file), ca) }),
    prefix: text(raw['prefix']) ?? PREFIX_DEFAULT,
    dataDir: resolve(dirname(file), text(raw['data']) ?? join(DATA_ROOT, realm ?? 'realm')),
  };
}

/** The server that other tools are told to use, too. */
export function serverOf(env: Surroundings['env']): string | undefined {
  const server = env['NATS_URL'];
  return server === '' ? undefined : server;
}

/** The run file of a data folder; undefined without one, or where its process has ended. */
export function readRun(dataDir: string): RunFile | undefined {
  const run = readRunFile(dataDir);
  return run !== undefined && isRunning(run) ? run : undefined;
}

/** A container's node has the same pid each time, and after a restart of the machine any process may have it. */
export function isRunning({ pid, processStartTime }: RunFile): boolean {
  return isStillAlive(pid, processStartTime);
}

export function missingConfig(file: string): FabricError {
  return new FabricError(cliErrors.config_missing, `There is no config ${file}`, { details: { file } });
}

/** A text with its commands, which begin a code span, as they are to be typed here. */
export function typed(text: string, around: Pick<Surroundings, 'env'>): string {
  return text.replaceAll('`infrafabric ', `\`${programOf(around)} `);
}

/** npm is how those have it who did not install it for everybody. */
function programOf({ env }: Pick<Surroundings, 'env'>): string {
  return env['npm_command'] === undefined ? 'infrafabric' : 'npx infrafabric';
}

interface Origin {
  readonly config?: string;
  /** INFRAFABRIC_DATA named it. */
  readonly isFromShell?: boolean;
}

function fromData(dataDir: string, around: Surroundings, origin: Origin = {}): Target {
  const run = readRunFile(dataDir);
  if (run === undefined) {
    throw notRunning(`No realm runs in ${dataDir}`, { dataDir }, around, origin);
  }
  if (!isRunning(run)) {
    throw notRunning(
      `Realm ${run.realm} is not running: process ${run.pid}, which had it, has ended; nothing that was acknowledged is lost`,
      { dataDir, pid: run.pid },
      around,
      origin,
    );
  }
  return targetOf(dataDir, run);
}

/** With what helps in this place: the command as it is to be typed, and realms that run beside it. */
function notRunning(
  message: string,
  details: { readonly dataDir: string; readonly pid?: number },
  around: Surroundings,
  { config, isFromShell = false }: Origin = {},
): FabricError {
  const log = join(details.dataDir, NODE_LOG);
  const inFolder = config === undefined || config === findConfig(around.cwd);
  const start = `${programOf(around)} up${inFolder ? '' : ` ${relative(around.cwd, config)}`}`;
  const beside = runningUnder(dirname(details.dataDir)).map(
    ({ realm, dataDir = '' }) => `${realm} runs here: --data ${relative(around.cwd, dataDir)}.`,
  );
  const help = [
    `Start it with \`${start}\`, or name another data folder with --data.`,
    ...(existsSync(log) ? [`What it said last stands in ${relative(around.cwd, log)}.`] : []),
    ...beside,
    ...(isFromShell
      ? [
          'INFRAFABRIC_DATA is set in this shell, probably by `infrafabric env`: unset NATS_URL INFRAFABRIC_DATA',
        ]
      : []),
  ].join(' ');
  return new FabricError({ ...cliErrors.not_running, help }, message, { details });
}

function targetOf(dataDir: string, run: RunFile): Target {
  const { url, token, prefix, realm, secure } = run;
  return {
    url,
    prefix,
    realm,
    dataDir,
    run,
    ...(token !== undefined && { token }),
    ...(secure !== undefined && { secure: true, ...(secure.ca !== undefined && { ca: secure.ca }) }),
  };
}

function runningUnder(root: string): Target[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const dataDir = join(root, name);
      const run = readRun(dataDir);
      return run === undefined ? [] : [targetOf(dataDir, run)];
    });
}

function readRunFile(dataDir: string): RunFile | undefined {
  const file = join(dataDir, 'run.json');
  if (!existsSync(file)) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // Half-written by a crash, or not ours to read: nobody can be reached through it.
    return undefined;
  }
  const run = runFileSchema.safeParse(parsed);
  if (!run.success) return undefined;
  const { processStartTime, token, websocketUrl, joined, secure, ...rest } = run.data;
  return {
    ...rest,
    ...(processStartTime !== undefined && { processStartTime }),
    ...(token !== undefined && { token }),
    ...(websocketUrl !== undefined && { websocketUrl }),
    ...(joined !== undefined && { joined }),
    ...(secure !== undefined && { secure: secure.ca === undefined ? {} : { ca: secure.ca } }),
  };
}

function readLoosely(file: string): Record<string, unknown> {
  try {
    // Most commands find their realm without a config, and reading YAML is a tenth of what they would load.
    const { parse } = require('yaml') as typeof import('yaml');
    const raw: unknown = parse(readFileSync(file, 'utf8'));
    return typeof raw === 'object' && raw !== null ? { ...raw } : {};
  } catch {
    // A config that is being edited must not hide the realm that runs; `up` and `reload` report what is wrong in it.
    return {};
  }
}

function realmOf(realm: string | undefined): { readonly realm?: string } {
  return realm === undefined ? {} : { realm };
}
