/**
 * Control groups for the processes of a jail, below the group that the node itself is in; version 1 or 2, as the
 * machine has it.
 *
 * K1  A process is in its group before it runs a line of ours, so everything it starts is in it.
 * K2  Groups go with their processes; what a killed node left behind goes when the next one opens.
 * K3  What is ended is ended all at once, none after its parent, and has the usual share to give its memory back: a
 *     process that has little of the processor would take long to die.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isProcessAlive } from '#runtime/bus/pid';
import { Crowd, type Share } from './crowd.ts';

const PREFIX = 'infrafabric-jail-';
/** Threads of one Node process and bubblewrap's two processes, with room. */
const TASKS_MAX = 64;
/** A group that was just emptied may be busy for a moment. */
const REMOVE_TRIES = 20;
const REMOVE_PAUSE_MS = 25;

/** The files of each version, for the same things. The low share is a sixteenth: a run that yields must still arrive. */
const FILES = {
  1: {
    memory: ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'],
    kills: 'memory.oom_control',
    share: 'cpu.shares',
    shares: { usual: 1_024, low: 64 },
  },
  2: {
    memory: ['memory.max'],
    kills: 'memory.events',
    share: 'cpu.weight',
    shares: { usual: 100, low: 6 },
  },
} as const;

/** By this process: each has its own place. */
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
  readonly crowd: Crowd;
}

/** Finds a place where groups with all three controllers can be made, and makes it. Throws a sentence that says why not. */
export function openCgroups(root = '/proc/self'): CgroupBase {
  const places = cgroupPlaces(
    readFileSync(join(root, 'cgroup'), 'utf8'),
    readFileSync(join(root, 'mountinfo'), 'utf8'),
  );
  if (places === undefined) throw new Error('no cgroup of memory, cpu and pids is mounted');
  const base = places.version === 1 ? places : dividable(places);
  opened += 1;
  const name = `${PREFIX}${process.pid}-${opened}`;
  const { memory, cpu, pids } = base.folders;
  const folders = { memory: join(memory, name), cpu: join(cpu, name), pids: join(pids, name) };
  for (const folder of new Set(Object.values(base.folders))) {
    removeLeft(folder);
    mkdirSync(join(folder, name), { recursive: true });
  }
  if (base.version === 2) delegate(folders.memory);
  return { version: base.version, folders, crowd: new Crowd(weighing(base.version, folders.cpu)) };
}

/** Sets what the whole jail weighs, with the niceness of the node. */
function weighing(version: 1 | 2, folder: string): (share: Share) => void {
  const { share: file, shares } = FILES[version];
  const usual = Math.round(shares.usual / NICE_STEP ** getPriority());
  const write = (share: Share): void =>
    writeFileSync(join(folder, file), String(Math.max(shares.low, share === 'usual' ? usual : shares.low)));
  write('usual');
  return write;
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
      for (const child of readdirSync(join(folder, name), { withFileTypes: true })) {
        if (child.isDirectory()) rmdirSync(join(folder, name, child.name));
      }
      rmdirSync(join(folder, name));
    } catch {
      // Something still lives in it: it is left alone.
    }
  }
}

/** The group of one process. */
export class Cgroup {
  readonly #version: 1 | 2;
  readonly #folders: CgroupBase['folders'];
  /** What stands in the file: writing it for nothing would cost a part of a short run. */
  #share: Share = 'usual';

  constructor(base: CgroupBase, name: string) {
    this.#version = base.version;
    const { memory, cpu, pids } = base.folders;
    this.#folders = { memory: join(memory, name), cpu: join(cpu, name), pids: join(pids, name) };
    for (const folder of new Set(Object.values(this.#folders))) mkdirSync(folder);
    writeFileSync(join(this.#folders.pids, 'pids.max'), String(TASKS_MAX));
    this.setShare('low'); // until it has work
  }

  /** K1. */
  add(pid: number): void {
    for (const folder of new Set(Object.values(this.#folders))) {
      writeFileSync(join(folder, 'cgroup.procs'), String(pid));
    }
  }

  /** Of everything in the group, what the program itself needs included. The limit with swap cannot be below the plain one. */
  setMemory(bytes: number): void {
    for (const name of FILES[this.#version].memory) {
      const file = join(this.#folders.memory, name);
      if (existsSync(file)) writeFileSync(file, String(bytes));
    }
  }

  setShare(share: Share): void {
    if (share === this.#share) return;
    this.#share = share;
    const { share: file, shares } = FILES[this.#version];
    unlessGone(() => writeFileSync(join(this.#folders.cpu, file), String(shares[share])));
  }

  /** How often the kernel killed something here because memory was short. A group that has gone tells nothing. */
  outOfMemoryKills(): number {
    const file = join(this.#folders.memory, FILES[this.#version].kills);
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  /** K3. Whoever ends a process kills the first of them besides: a kernel may be too old to end all of a group. */
  kill(): void {
    this.setShare('usual');
    if (this.#version === 2) {
      unlessGone(() => writeFileSync(join(this.#folders.pids, 'cgroup.kill'), '1'));
      return;
    }
    const pids = unlessGone(() => this.#pids()) ?? [];
    for (const pid of pids) unlessGone(() => process.kill(pid, 'SIGKILL'));
  }

  #pids(): number[] {
    const pids = readFileSync(join(this.#folders.pids, 'cgroup.procs'), 'utf8').split('\n');
    return pids.map(Number).filter((pid) => pid > 0);
  }

  async remove(): Promise<void> {
    for (const folder of new Set(Object.values(this.#folders))) await removeGroup(folder);
  }
}

/** What a group or a process that has ended meanwhile need not do. */
function unlessGone<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (thrown) {
    if (!['ENOENT', 'ESRCH', 'EACCES'].includes((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown;
    return undefined;
  }
}

export async function removeGroup(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      rmdirSync(folder);
      return;
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || attempt === REMOVE_TRIES) throw thrown;
      await pause(REMOVE_PAUSE_MS);
    }
  }
}
