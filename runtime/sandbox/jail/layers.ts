/**
 * What the jail is made of on this machine. Every layer is tried, not guessed, and what is missing is told.
 *
 * L1  A layer that is missing is never passed over silently: it is in the report, and with `require: full` nothing starts.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { FabricError } from '#schemas/fabric-error';
import { bubblewrapArguments, type Library } from './bubblewrap.ts';
import { type CgroupBase, closeCgroups, openCgroups } from './cgroup.ts';
import { jailErrors } from './errors.ts';
import { runToEnd } from './run-to-end.ts';
import { seccompProgram } from './seccomp.ts';

const run = promisify(execFile);
const PROBE_MS_MAX = 20_000;
export const SHELL = '/bin/sh';

export const LAYERS = ['namespaces', 'seccomp', 'permissions', 'cgroup', 'rlimits'] as const;
export type LayerName = (typeof LAYERS)[number];

export interface Layer {
  readonly name: LayerName;
  readonly isOn: boolean;
  /** What was found, or why it is off. */
  readonly seen: string;
}

/** The layers that are there, and what starting a process with them needs. */
export interface Layers {
  readonly report: readonly Layer[];
  readonly bubblewrap?: { readonly file: string; readonly libraries: readonly Library[] };
  readonly seccomp?: Uint8Array;
  readonly cgroups?: CgroupBase;
  readonly hasShell: boolean;
}

/** `full`: all layers or nothing. `any`: what there is. */
export type LayerPolicy = 'full' | 'any';

/** L1. Throws `jail_layers_missing`. */
export async function openLayers(policy: LayerPolicy): Promise<Layers> {
  const layers = await detectLayers();
  const missing = layers.report.filter(({ isOn }) => !isOn);
  if (policy === 'full' && missing.length > 0) {
    await closeLayers(layers);
    throw new FabricError(
      jailErrors.jail_layers_missing,
      `The jail lacks ${missing.map(({ name, seen }) => `${name} (${seen})`).join(', ')}`,
      { details: { missing: missing.map(({ name }) => name) } },
    );
  }
  return layers;
}

/** What the jail would be made of, for whoever wants to know. */
export async function reportLayers(): Promise<readonly Layer[]> {
  const layers = await detectLayers();
  await closeLayers(layers);
  return layers.report;
}

export async function closeLayers({ cgroups }: Layers): Promise<void> {
  if (cgroups !== undefined) await closeCgroups(cgroups);
}

async function detectLayers(): Promise<Layers> {
  const wrapped = await detectBubblewrap();
  const cgroups = detectCgroups();
  const hasShell = isProgram(SHELL);
  return {
    report: [
      wrapped.namespaces,
      wrapped.seccomp,
      { name: 'permissions', isOn: true, seen: `Node ${process.versions.node}` },
      cgroups.layer,
      { name: 'rlimits', isOn: hasShell, seen: hasShell ? SHELL : `no ${SHELL} to set them` },
    ],
    ...wrapped.found,
    ...(cgroups.base !== undefined && { cgroups: cgroups.base }),
    hasShell,
  };
}

interface Wrapped {
  readonly namespaces: Layer;
  readonly seccomp: Layer;
  readonly found: Pick<Layers, 'bubblewrap' | 'seccomp'>;
}

/** Starts this very program inside, with the filter and then without. */
async function detectBubblewrap(): Promise<Wrapped> {
  const off = (namespaces: string, seccomp = 'nothing to install it'): Wrapped => ({
    namespaces: { name: 'namespaces', isOn: false, seen: namespaces },
    seccomp: { name: 'seccomp', isOn: false, seen: seccomp },
    found: {},
  });
  if (process.platform !== 'linux') return off(`none on ${process.platform}`);
  const file = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'bwrap'))
    .find(isProgram);
  if (file === undefined) return off('no bwrap on PATH: install bubblewrap');
  try {
    const libraries = await sharedLibraries(process.execPath);
    const bubblewrap = { file, libraries };
    const { arch } = process;
    const program = arch === 'x64' || arch === 'arm64' ? seccompProgram(arch) : undefined;
    const version = (await run(file, ['--version'])).stdout.trim();
    const namespaces: Layer = { name: 'namespaces', isOn: true, seen: version };
    const failed = program === undefined ? `no filter for ${arch}` : await probe(bubblewrap, program);
    if (program !== undefined && failed === undefined) {
      const seccomp: Layer = { name: 'seccomp', isOn: true, seen: `an allow-list for ${arch}` };
      return { namespaces, seccomp, found: { bubblewrap, seccomp: program } };
    }
    const failedWithout = await probe(bubblewrap, undefined);
    if (failedWithout !== undefined) return off(failedWithout);
    return {
      namespaces,
      seccomp: { name: 'seccomp', isOn: false, seen: failed ?? '' },
      found: { bubblewrap },
    };
  } catch (thrown) {
    return off((thrown as Error).message);
  }
}

async function probe(
  { file, libraries }: NonNullable<Layers['bubblewrap']>,
  seccomp: Uint8Array | undefined,
): Promise<string | undefined> {
  const args = bubblewrapArguments({
    node: process.execPath,
    libraries,
    reads: [],
    hasSeccomp: seccomp !== undefined,
  });
  const { code, stderr } = await runToEnd(file, [...args, '--version'], seccomp, PROBE_MS_MAX);
  return code === 0 ? undefined : stderr.trim() || `it ended with ${code}`;
}

function detectCgroups(): { readonly layer: Layer; readonly base?: CgroupBase } {
  if (process.platform !== 'linux') {
    return { layer: { name: 'cgroup', isOn: false, seen: `none on ${process.platform}` } };
  }
  try {
    const base = openCgroups();
    return { layer: { name: 'cgroup', isOn: true, seen: `version ${base.version}` }, base };
  } catch (thrown) {
    return { layer: { name: 'cgroup', isOn: false, seen: (thrown as Error).message } };
  }
}

/** What the dynamic linker would load, each where it would look for it. */
async function sharedLibraries(program: string): Promise<Library[]> {
  const { stdout } = await run('ldd', [program]);
  return [...stdout.matchAll(/(?:=> )?(\/\S+)(?= \(0x)/g)].map(([, path = '']) => path);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
