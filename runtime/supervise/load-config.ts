/**
 * Loads a realm config: YAML with positions, includes, environment, lists of children from data files.
 *
 * C1 Either everything is right, or `bad_config` names every problem as `file:line:column: what`.
 * C2 The same files and environment give the same spec and hash.
 * C3 What a variable holds is data: it is never parsed as YAML, and never shown.
 */
import { dirname, resolve } from 'node:path';
import { type KindConfig, type RealmConfig, realmConfigSchema } from '#schemas/config';
import { KERNEL_TYPES } from '#schemas/kernel-kinds';
import { INTENSITY_DEFAULT, PERIOD_MS_DEFAULT, type SupervisorSpec } from '#schemas/supervisor';
import { beside, isMap, type Reading, readWithIncludes } from './include.ts';
import type { Environment } from './interpolate.ts';
import { Problems, suggest } from './problems.ts';
import { checkSchema } from './schema-problems.ts';
import { Places } from './source.ts';
import { hashOf, type pinMachines } from './spec.ts';
import { buildTree } from './tree.ts';

export interface LoadOptions {
  /** For `${NAME}` and `INFRAFABRIC_DATA`. */
  readonly env: Environment;
  /** Names of built-in machines: others are then refused with a suggestion. Absent: not checked. */
  readonly machines?: readonly string[];
}

export interface LoadedConfig {
  /** Absolute path of the config. */
  readonly file: string;
  /** Absolute path of the realm's data folder. */
  readonly dataDir: string;
  /** Machine files in `kinds` are absolute. */
  readonly config: RealmConfig;
  /** The root supervisor; a kind without a version names version 1: see {@link pinMachines}. */
  readonly spec: SupervisorSpec;
  /** Absolute paths of every file read, the config first. */
  readonly sources: readonly string[];
  /** SHA-256 in hex over config and spec: the same for the same meaning, whatever the spelling. */
  readonly hash: string;
}

/** Loads and checks a config. Throws `bad_config`. */
export function loadConfig(file: string, options: LoadOptions): LoadedConfig {
  const reading: Reading = { places: new Places(), problems: new Problems(), env: options.env, sources: [] };
  const raw = readWithIncludes(file, reading);
  if (raw === undefined) {
    reading.problems.throwIfAny();
    throw new Error('a config that cannot be read has a problem');
  }
  const config = checkSchema(realmConfigSchema, raw, reading.places, reading.problems);
  checkKinds(raw.kinds, options.machines, reading);
  const kinds = isMap(raw.kinds) ? raw.kinds : {};
  const spec = buildTree(raw.supervisor, {
    reading,
    kinds: Object.keys(kinds),
    machineOf: (type) => defaultRef(kinds[type]),
    defaults: { strategy: 'one_for_one', intensity: INTENSITY_DEFAULT, periodMs: PERIOD_MS_DEFAULT },
  });
  reading.problems.throwIfAny();
  if (config === undefined) throw new Error('a refused config has a problem');
  const hash = hashOf({ config, spec });
  const located = { ...config, kinds: locateMachines(config.kinds, kinds, reading) };
  return {
    file: resolve(file),
    dataDir: dataDirOf(config, file, options.env),
    config: located,
    spec,
    sources: reading.sources,
    hash,
  };
}

function dataDirOf(
  config: RealmConfig,
  file: string,
  env: { readonly INFRAFABRIC_DATA?: string | undefined },
): string {
  const wanted = env.INFRAFABRIC_DATA;
  if (wanted !== undefined && wanted !== '') return resolve(wanted);
  return resolve(dirname(file), config.data ?? `.infrafabric/${config.realm}`);
}

function checkKinds(kinds: unknown, machines: readonly string[] | undefined, reading: Reading): void {
  if (!isMap(kinds)) return;
  for (const [type, kind] of Object.entries(kinds)) {
    if (KERNEL_TYPES.includes(type)) {
      reading.problems.add(
        reading.places.at(kinds, [type], 'key').place,
        `"${type}" is declared by the kernel itself`,
      );
    }
    const machine = isMap(kind) ? kind.machine : undefined;
    if (
      machines === undefined ||
      typeof machine !== 'string' ||
      isFile(machine) ||
      machines.includes(machine)
    )
      continue;
    const place = reading.places.at(kinds, [type, 'machine']).place;
    const own = 'a machine of yours is named by its file, ./machines/mine.ts#mine';
    reading.problems.add(
      place,
      `there is no built-in machine "${machine}"${suggest(machine, machines)}; ${own}`,
    );
  }
}

/** A machine file stands beside the file that names it. */
function locateMachines(
  kinds: Readonly<Record<string, KindConfig>>,
  raw: Readonly<Record<string, unknown>>,
  reading: Reading,
): Record<string, KindConfig> {
  const locate = ([type, kind]: [string, KindConfig]): [string, KindConfig] => {
    if (!isFile(kind.machine)) return [type, kind];
    const { file } = reading.places.at(raw, [type, 'machine']).place;
    return [type, { ...kind, machine: resolve(beside(file, kind.machine)) }];
  };
  return Object.fromEntries(Object.entries(kinds).map(locate));
}

function isFile(machine: string): boolean {
  return machine.startsWith('.') || machine.startsWith('/');
}

function defaultRef(kind: unknown): string {
  const machine = isMap(kind) && typeof kind.machine === 'string' ? kind.machine : 'unknown';
  const version = isMap(kind) && typeof kind.version === 'number' ? kind.version : 1;
  const hash = machine.lastIndexOf('#');
  const name = isFile(machine)
    ? hash >= 0
      ? machine.slice(hash + 1)
      : (machine.split('/').at(-1) ?? '').replace(/\.\w+$/, '')
    : machine;
  return `${name}@${version}`;
}
