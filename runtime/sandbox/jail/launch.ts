/**
 * Starts a process of the jail with every layer there is.
 *
 * N1  The process waits behind a shell that reads one line, until it is in its control group (K1); its limits are set
 *     before it runs.
 * N2  Nothing of the node's environment reaches it, and no descriptor but three pipes.
 * N3  Node itself is told to refuse everything but reading the program's own folders.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { bubblewrapArguments, INSIDE } from './bubblewrap.ts';
import { Cgroup } from './cgroup.ts';
import { type Layers, SHELL } from './layers.ts';

/** Which program a process runs. */
export interface Program {
  /** Its folders lie below this one. */
  readonly root: string;
  /** What it may read, relative to the root. */
  readonly folders: readonly string[];
  /** The file it begins with, relative to the root. */
  readonly main: string;
  /** Of everything it does besides the guest's memory. */
  readonly overheadBytes: number;
}

export interface Launched {
  readonly child: ChildProcess;
  readonly cgroup: Cgroup | undefined;
}

/** V8 may not take more for the objects of generated code. */
const HEAP_MIB_MAX = 128;
const MIB = 1024 * 1024;
const PAGE_BYTES = 64 * 1024;

/** Nothing is written to files, nothing dumped, few descriptors; `-d` bounds memory where no group does. */
const limitsScript = (dataBytesMax: number): string =>
  `ulimit -c 0 && ulimit -f 0 && ulimit -n 64 && ulimit -d ${Math.ceil(dataBytesMax / 1024)} && read -r _ && exec "$@"`;

/** `memoryBytesMax` is the most that any guest of the process will be allowed. */
export function launch(program: Program, layers: Layers, memoryBytesMax: number, name: string): Launched {
  const [file, ...args] = commandLine(program, layers, memoryBytesMax);
  const cgroup = layers.cgroups === undefined ? undefined : new Cgroup(layers.cgroups, name);
  const child = spawn(file, args, { env: {}, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] }); // N2
  // What ends early is told by `exit`, not by a pipe that breaks.
  child.stdin?.on('error', () => undefined);
  const filter = child.stdio[3] as Writable;
  filter.on('error', () => undefined);
  filter.end(layers.seccomp);
  if (child.pid !== undefined) cgroup?.add(child.pid);
  if (layers.hasShell) child.stdin?.write('\n'); // N1
  return { child, cgroup };
}

function commandLine(program: Program, layers: Layers, memoryBytesMax: number): [string, ...string[]] {
  const { bubblewrap, seccomp, hasShell } = layers;
  const folders = program.folders.map((folder) => ({
    outside: join(program.root, folder),
    inside: join(INSIDE, folder),
  }));
  const root = bubblewrap === undefined ? program.root : INSIDE;
  const node =
    bubblewrap === undefined
      ? [process.execPath]
      : [
          bubblewrap.file,
          ...bubblewrapArguments({
            node: process.execPath,
            libraries: bubblewrap.libraries,
            folders,
            hasSeccomp: seccomp !== undefined,
          }),
        ];
  const command = [...node, ...nodeArguments(program, root, memoryBytesMax)];
  const limited = hasShell
    ? [SHELL, '-c', limitsScript(memoryBytesMax + program.overheadBytes), 'jail', ...command]
    : command;
  return limited as [string, ...string[]];
}

/** N3. */
function nodeArguments({ folders, main }: Program, root: string, memoryBytesMax: number): string[] {
  return [
    '--permission',
    ...folders.map((folder) => `--allow-fs-read=${join(root, folder)}/*`),
    '--experimental-vm-modules',
    '--disallow-code-generation-from-strings',
    '--disable-proto=delete',
    '--no-addons',
    '--no-warnings',
    `--max-old-space-size=${HEAP_MIB_MAX}`,
    `--wasm-max-mem-pages=${Math.ceil(memoryBytesMax / PAGE_BYTES)}`,
    join(root, main),
  ];
}

/** Room for Node, V8's own memory and compiled code, as measured with the largest guests, and as much again. */
export const NODE_BYTES = 1_024 * MIB;
