/**
 * Starts a process of the jail with every layer there is.
 *
 * N1  The process waits behind a shell that reads one line, until it is in its control group (K1); its limits are set
 *     before it runs.
 * N2  Nothing of the node's environment reaches it, and no descriptor but three pipes.
 * N3  Node itself is told to refuse everything but reading the program's own folders.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { Writable } from 'node:stream';
import { FabricError } from '#schemas/fabric-error';
import { bubblewrapArguments, INSIDE, type Mount } from './bubblewrap.ts';
import { Cgroup } from './cgroup.ts';
import { jailErrors } from './errors.ts';
import { inheritedDescriptors } from './inherited.ts';
import { type Layers, SHELL } from './layers.ts';
import { ProcessorShare } from './share.ts';

/** Which program a process runs. */
export interface Program {
  /** The file it begins with: one of those that it may read. */
  readonly main: string;
  /** What it may read, and where that lies below {@link INSIDE}. */
  readonly reads: readonly Mount[];
  /** V8 may not take more for the objects of its code. */
  readonly heapMibMax: number;
  /** Of everything it does besides the guest's memory. */
  readonly overheadBytes: number;
}

export interface Launched {
  readonly child: ChildProcess;
  readonly cgroup: Cgroup | undefined;
  readonly share: ProcessorShare;
  /** Resolves when it is in its group and may begin (N1). Throws `jail_not_started`. */
  readonly entered: Promise<void>;
}

const PAGE_BYTES = 64 * 1024;
/** Node reserves for its heap and its code what it never touches; the limit of a process counts that too. */
const RESERVED_BYTES = 1024 * 1024 * 1024;

/** Nothing is written to files, nothing dumped, few descriptors; `-d` bounds memory where no group does. */
const limitsScript = (dataBytesMax: number): string =>
  `ulimit -c 0 && ulimit -f 0 && ulimit -n 64 && ulimit -d ${Math.ceil(dataBytesMax / 1024)} && read -r _ && exec "$@"`;

/** `memoryBytesMax` is the most that any guest of the process will be allowed. */
export async function launch(
  program: Program,
  layers: Layers,
  memoryBytesMax: number,
  name: string,
): Promise<Launched> {
  const [file, ...args] = commandLine(program, layers, memoryBytesMax);
  const { seccomp, cgroups } = layers;
  const cgroup =
    cgroups === undefined
      ? undefined
      : await Cgroup.make(cgroups, name, memoryBytesMax + program.overheadBytes);
  const share = new ProcessorShare(cgroup);
  share.yield(); // until it has work
  const blank = openSync('/dev/null', 'r');
  const child = spawn(file, args, { env: {}, stdio: stdioOf(seccomp !== undefined, blank) }); // N2
  closeSync(blank);
  // What ends early is told by `exit`, not by a pipe that breaks.
  for (const pipe of [child.stdin, child.stdio[3] as Writable | undefined])
    pipe?.on('error', () => undefined);
  (child.stdio[3] as Writable | undefined)?.end(seccomp);
  return { child, cgroup, share, entered: enter(child, cgroup, layers) };
}

/** N1. */
async function enter(child: ChildProcess, cgroup: Cgroup | undefined, { hasShell }: Layers): Promise<void> {
  try {
    await once(child, 'spawn');
    if (child.pid !== undefined) await cgroup?.add(child.pid);
  } catch (cause) {
    child.kill('SIGKILL'); // never outside of its group
    const message = 'A process of the jail could not be started in its group';
    throw new FabricError(jailErrors.jail_not_started, message, { cause });
  }
  if (hasShell) child.stdin?.write('\n');
}

/** Three pipes, one more where bubblewrap reads its filter and closes it, and nothing in the place of what we inherited. */
function stdioOf(hasFilter: boolean, blank: number): StdioOptions {
  const stdio: ('pipe' | 'ignore' | number)[] = ['pipe', 'pipe', 'pipe', hasFilter ? 'pipe' : 'ignore'];
  for (const fd of inheritedDescriptors()) {
    if (fd < stdio.length) continue; // it is replaced already
    while (stdio.length < fd) stdio.push('ignore');
    stdio.push(blank);
  }
  return stdio;
}

function commandLine(program: Program, layers: Layers, memoryBytesMax: number): [string, ...string[]] {
  const { bubblewrap, seccomp, hasShell } = layers;
  const node =
    bubblewrap === undefined
      ? [process.execPath]
      : [
          bubblewrap.file,
          ...bubblewrapArguments({
            node: process.execPath,
            libraries: bubblewrap.libraries,
            reads: program.reads,
            hasSeccomp: seccomp !== undefined,
          }),
        ];
  const command = [...node, ...nodeArguments(program, bubblewrap !== undefined, memoryBytesMax)];
  const limited = hasShell
    ? [SHELL, '-c', limitsScript(memoryBytesMax + program.overheadBytes + RESERVED_BYTES), 'jail', ...command]
    : command;
  return limited as [string, ...string[]];
}

/** N3. */
function nodeArguments(
  { reads, main, heapMibMax }: Program,
  isInside: boolean,
  memoryBytesMax: number,
): string[] {
  const seen = reads.map(({ outside, inside }) => ({
    outside,
    path: isInside ? join(INSIDE, inside) : outside,
  }));
  const mount = seen.find(({ outside }) => main === outside || main.startsWith(outside + sep));
  if (mount === undefined) throw new Error(`${main} is not among what it may read`);
  return [
    '--permission',
    ...seen.map(({ path }) => `--allow-fs-read=${path}`),
    '--experimental-vm-modules',
    '--disallow-code-generation-from-strings',
    '--disable-proto=delete',
    '--no-addons',
    '--no-warnings',
    `--max-old-space-size=${heapMibMax}`,
    `--wasm-max-mem-pages=${Math.ceil(memoryBytesMax / PAGE_BYTES)}`,
    join(mount.path, relative(mount.outside, main)),
  ];
}
