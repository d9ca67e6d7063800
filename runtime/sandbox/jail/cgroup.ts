/**
 * Control groups for the processes of a jail, one each, beside the node in the group that the node itself is in; version 1 or
 * 2, as the machine has it.
 *
 * K1  A process is in its group before it runs a line of ours, so everything it starts is in it.
 * K2  Groups go with their processes; what a killed node left behind goes when the next one opens.
 * K3  What is ended is ended all at once, none after its parent, and has the usual share until it is.
 * K4  The node waits for nothing that makes, enters or removes a group: the kernel takes tens of milliseconds for it,
 *     and lets no other of these begin meanwhile.
 * K5  A group is still when each thread in it is on its way out of the kernel: none comes back to code of its own, however long
 *     it takes to give its memory back.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isProcessAlive } from '#runtime/bus/pid';
import type { Share } from './share.ts';

const PREFIX = 'infrafabric-jail-';
/** Threads of one Node process and bubblewrap's two processes, with room. */
const TASKS_MAX = 64;
/** A group that was just emptied may be busy for a moment. */
const REMOVE_TRIES = 20;
const REMOVE_PAUSE_MS = 25;
const NS_PER_MS = 1e6;
/** `PF_EXITING` among the flags of /proc/[pid]/stat. */
const EXITING = 0x4;

/** The files of each version, for the same things. The low share is a sixteenth: a run that yields must still arrive. */
const FILES = {
  1: {
    memory: ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'],
    kills: 'memory.oom_control',
    threads: 'tasks',
    share: 'cpu.shares',
    shares: { usual: 1_024, low: 64 },
  },
  2: {
    memory: ['memory.max'],
    kills: 'memory.events',
    threads: 'cgroup.threads',
    share: 'cpu.weight',
    shares: { usual: 100, low: 6 },
  },
} as const;
const IDLE = 'cpu.idle';

/** By this process: each has its own names. */
let opened = 0;

/** By how much a step of niceness changes what a process weighs, as the scheduler has it. */
const NICE_STEP = 1.25;

/** A folder per controller in version 1, one for all in version 2. */
export interface CgroupPlaces {
  readonly version: 1 | 2;
  readonly folders: Readonly<Record<'memory' | 'cpu' | 'pids', string>>;
}

/** Where groups are made. */
export interface CgroupBase extends CgroupPlaces {
  /** The names of its groups begin with it. */
  readonly prefix: string;
  /** A kernel may be too old for idle groups: the low share does instead. */
  readonly hasIdle: boolean;
}

/** Finds a place where groups with all three controllers can be made, and tries it. Throws a sentence that says why not. */
export function openCgroups(root = '/proc/self'): CgroupBase {
  const places = cgroupPlaces(
    readFileSync(join(root, 'cgroup'), 'utf8'),
    readFileSync(join(root, 'mountinfo'), 'utf8'),
  );
  if (places === undefined) throw new Error('no cgroup of memory, cpu and pids is mounted');
  const { version, folders } = places.version === 1 ? places : dividable(places);
  opened += 1;
  const prefix = `${PREFIX}${process.pid}-${opened}-`;
  for (const folder of new Set(Object.values(folders))) {
    removeLeft(folder);
    mkdirSync(join(folder, `${prefix}tried`));
  }
  const hasIdle = existsSync(join(folders.cpu, `${prefix}tried`, IDLE));
  for (const folder of new Set(Object.values(folders))) rmdirSync(join(folder, `${prefix}tried`));
  return { version, folders, prefix, hasIdle };
}

/** What is left of its groups goes. Throws where something stays. */
export async function closeCgroups({ folders, prefix }: CgroupBase): Promise<void> {
  for (const folder of new Set(Object.values(folders))) {
    for (const name of readdirSync(folder))
      if (name.startsWith(prefix)) await removeGroup(join(folder, name));
  }
}

/** Where the process is, from /proc/self/cgroup and /proc/self/mountinfo; version 1 where it has the controllers. */
export function cgroupPlaces(cgroup: string, mountinfo: string): CgroupPlaces | undefined {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '', mount = ''] = before.split(' ');
    const [type = '', , options = ''] = after.split(' ');
    return type.startsWith('cgroup') ? [{ type, root, mount, options: options.split(',') }] : [];
  });
  const groups = cgroup.split('\n').map((line) => line.split(':'));
  const place = (controller: string): string | undefined => {
    const group = groups.find(([, names = '']) => names.split(',').includes(controller))?.[2];
    const mount = mounts.find(({ type, options }) =>
      controller === '' ? type === 'cgroup2' : type === 'cgroup' && options.includes(controller),
    );
    if (group === undefined || mount === undefined) return undefined;
    // In a container the mount shows a part of the tree, and the path begins above it.
    const inside =
      mount.root !== '/' && group.startsWith(mount.root) ? group.slice(mount.root.length) : group;
    return join(mount.mount, inside);
  };
  const [memory, cpu, pids, unified] = ['memory', 'cpu', 'pids', ''].map(place);
  if (memory !== undefined && cpu !== undefined && pids !== undefined) {
    return { version: 1, folders: { memory, cpu, pids } };
  }
  if (unified === undefined) return undefined;
  return { version: 2, folders: { memory: unified, cpu: unified, pids: unified } };
}

/** In version 2 a group with processes of its own divides nothing: its parent may, where it was delegated. */
function dividable({ folders }: CgroupPlaces): CgroupPlaces {
  for (const folder of [folders.memory, dirname(folders.memory)]) {
    try {
      delegate(folder);
      return { version: 2, folders: { memory: folder, cpu: folder, pids: folder } };
    } catch {
      // The next one may do; what is told is that none did.
    }
  }
  throw new Error(
    `${folders.memory} cannot be divided: run the node under systemd with Delegate=yes and DelegateSubgroup=node`,
  );
}

function delegate(folder: string): void {
  writeFileSync(join(folder, 'cgroup.subtree_control'), '+memory +cpu +pids');
}

/** K2. */
function removeLeft(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = Number.parseInt(name.slice(PREFIX.length), 10);
    if (!name.startsWith(PREFIX) || !Number.isInteger(pid) || isProcessAlive(pid)) continue;
    try {
      rmdirSync(join(folder, name));
    } catch {
      // Something still lives in it: it is left alone.
    }
  }
}

/** The group of one process. */
export class Cgroup {
  readonly #base: CgroupBase;
  readonly #folders: CgroupBase['folders'];
  /** What weighs as much as the node: with its niceness. */
  readonly #usual: number;
  /** What stands in the files: writing it for nothing would cost a part of a short run. */
  #share: Share = 'usual';

  private constructor(base: CgroupBase, name: string) {
    this.#base = base;
    const { memory, cpu, pids } = base.folders;
    const own = `${base.prefix}${name}`;
    this.#folders = { memory: join(memory, own), cpu: join(cpu, own), pids: join(pids, own) };
    const { usual, low } = FILES[base.version].shares;
    this.#usual = Math.max(low, Math.round(usual / NICE_STEP ** getPriority()));
  }

  /** `memoryBytes` is for everything in it, what the program itself needs included. */
  static async make(base: CgroupBase, name: string, memoryBytes: number): Promise<Cgroup> {
    const group = new Cgroup(base, name);
    const { memory, cpu, pids } = group.#folders;
    for (const folder of new Set([memory, cpu, pids])) await mkdir(folder); // K4
    await writeFile(join(pids, 'pids.max'), String(TASKS_MAX));
    // In this order: the limit with swap cannot be below the plain one.
    for (const file of FILES[base.version].memory.map((each) => join(memory, each)))
      if (existsSync(file)) await writeFile(file, String(memoryBytes));
    group.#weigh(FILES[base.version].share, group.#usual);
    return group;
  }

  /** K1, K4. */
  async add(pid: number): Promise<void> {
    for (const folder of new Set(Object.values(this.#folders)))
      await writeFile(join(folder, 'cgroup.procs'), String(pid));
  }

  setShare(wanted: Share): void {
    const { version, hasIdle } = this.#base;
    const share = wanted === 'idle' && !hasIdle ? 'low' : wanted;
    const was = this.#share;
    if (share === was) return;
    this.#share = share;
    const { share: file, shares } = FILES[version];
    if (was === 'idle') this.#weigh(IDLE, 0); // the weight of an idle group cannot be written
    if (share === 'idle') this.#weigh(IDLE, 1);
    else this.#weigh(file, share === 'usual' ? this.#usual : shares.low);
  }

  #weigh(file: string, value: number): void {
    unlessGone(() => writeFileSync(join(this.#folders.cpu, file), String(value)));
  }

  /** Of the first thread of each process, which is the one that runs a guest; 0 where the kernel does not count it. */
  ranMs(): number {
    return this.#pids().reduce((sum, pid) => sum + ranNs(pid) / NS_PER_MS, 0);
  }

  /** How often the kernel killed something here because memory was short. A group that has gone tells nothing. */
  outOfMemoryKills(): number {
    const file = join(this.#folders.memory, FILES[this.#base.version].kills);
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  /** K3. Nothing in a jail starts processes, but the one that makes the jail does: whoever ends it comes again until it is still. */
  kill(): void {
    this.setShare('usual');
    for (const pid of this.#pids()) unlessGone(() => process.kill(pid, 'SIGKILL'));
  }

  /** K5. */
  isStill(): boolean {
    const file = join(this.#folders.pids, FILES[this.#base.version].threads);
    return idsIn(file).every(isExiting);
  }

  #pids(): number[] {
    return idsIn(join(this.#folders.pids, 'cgroup.procs'));
  }

  async remove(): Promise<void> {
    for (const folder of new Set(Object.values(this.#folders))) await removeGroup(folder);
  }
}

/** Empty where the group has gone. */
function idsIn(file: string): number[] {
  const text = unlessGone(() => readFileSync(file, 'utf8')) ?? '';
  return text
    .split('\n')
    .map(Number)
    .filter((id) => id > 0);
}

/** A thread that cannot be looked at may still run: when it has gone it is not in its group any more. */
function isExiting(thread: number): boolean {
  const text = unlessGone(() => readFileSync(`/proc/${thread}/stat`, 'utf8'));
  // Behind the name, which may hold anything: state, parent, group, session, terminal, its group, flags.
  const flags = text?.slice(text.lastIndexOf(')') + 2).split(' ')[6];
  return flags !== undefined && (Number(flags) & EXITING) !== 0;
}

function ranNs(pid: number): number {
  return Number(unlessGone(() => readFileSync(`/proc/${pid}/schedstat`, 'utf8'))?.split(' ')[0] ?? 0);
}

const GONE = ['ENOENT', 'ENODEV', 'ESRCH'];

/** What a group or a process that has ended meanwhile need not do. */
function unlessGone<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (thrown) {
    if (!GONE.includes((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown;
    return undefined;
  }
}

/** K4. */
async function removeGroup(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await rmdir(folder);
      return;
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || attempt === REMOVE_TRIES) throw thrown;
      await pause(REMOVE_PAUSE_MS);
    }
  }
}
