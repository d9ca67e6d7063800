import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import test from 'ava';
import {
  Cgroup,
  type CgroupBase,
  cgroupPlaces,
  closeCgroups,
  openCgroups,
} from '#runtime/sandbox/jail/cgroup';
import { seccompProgram } from '#runtime/sandbox/jail/seccomp';
import { ProcessorShare, type Share, yieldingShare } from '#runtime/sandbox/jail/share';

test('where a process is in control groups, in both versions and in a container', (t) => {
  const first = `40 30 0:36 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
41 30 0:37 / /sys/fs/cgroup/memory rw,nosuid shared:5 - cgroup cgroup rw,memory
42 30 0:38 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids`;
  t.deepEqual(cgroupPlaces('3:cpu,cpuacct:/a\n2:memory:/b/c\n1:pids:/\n0::/\n', first), {
    version: 1,
    folders: {
      cpu: '/sys/fs/cgroup/cpu,cpuacct/a',
      memory: '/sys/fs/cgroup/memory/b/c',
      pids: '/sys/fs/cgroup/pids/',
    },
  });
  const second = '30 24 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw';
  const folder = '/sys/fs/cgroup/node';
  t.deepEqual(cgroupPlaces('0::/docker/x/node\n', second), {
    version: 2,
    folders: { memory: folder, cpu: folder, pids: folder },
  });
  t.is(cgroupPlaces('0::/\n', ''), undefined);
});

test('what yields is idle, unless it starves, and until it has what it needs', (t) => {
  t.is(yieldingShare('idle', 100, 250), 'idle');
  t.is(yieldingShare('idle', 10, 250), 'low');
  t.is(yieldingShare('low', 20, 250), 'low');
  t.is(yieldingShare('idle', 20, 250), 'idle');
  t.is(yieldingShare('low', 40, 250), 'idle');
});

test('a process that yields is watched until it takes its share again or rests', async (t) => {
  const shares: Share[] = [];
  const starved = Promise.withResolvers<void>();
  const share = new ProcessorShare({
    ranMs: () => 0,
    setShare: (given) => {
      shares.push(given);
      if (given === 'low') starved.resolve();
    },
  });
  share.yield();
  const kept = setTimeout(() => undefined, 60_000); // the watch alone keeps nobody alive
  await starved.promise;
  clearTimeout(kept);
  share.take();
  share.rest();
  t.deepEqual(shares, ['idle', 'low', 'usual']);
});

test('all processes of a group are ended at once, those that nobody waits for as well, and then it is still', async (t) => {
  const base = groupsHere();
  if (base === undefined) {
    t.pass('not tried: no control groups here');
    return;
  }
  const cgroup = await Cgroup.make(base, 'ended', 2 ** 28);
  const child = spawn('/bin/sh', ['-c', 'read -r _; sleep 1000 & echo started; exec sleep 1000']);
  const closed = once(child, 'close');
  await cgroup.add(child.pid ?? 0);
  child.stdin.write('\n');
  await once(child.stdout, 'data');
  t.false(cgroup.isStill());
  cgroup.kill();
  while (!cgroup.isStill()) await immediate();
  await closed; // both had its pipes
  t.is(child.signalCode, 'SIGKILL');
  await cgroup.remove();
  t.notThrows(() => cgroup.kill());
  t.true(cgroup.isStill());
  await closeCgroups(base);
});

test('a group has the share that it is given, and one that nobody removed goes with the rest', async (t) => {
  const base = groupsHere();
  if (base === undefined) {
    t.pass('not tried: no control groups here');
    return;
  }
  const cgroup = await Cgroup.make(base, 'shared', 2 ** 28);
  const folder = join(base.folders.cpu, `${base.prefix}shared`);
  const weight = () => Number(readFileSync(join(folder, base.version === 1 ? 'cpu.shares' : 'cpu.weight')));
  const isIdle = () => base.hasIdle && readFileSync(join(folder, 'cpu.idle'), 'utf8').trim() === '1';
  const usual = weight();
  cgroup.setShare('idle');
  t.is(isIdle(), base.hasIdle);
  cgroup.setShare('low');
  t.false(isIdle());
  t.true(weight() <= usual);
  cgroup.setShare('idle');
  cgroup.setShare('usual');
  t.false(isIdle());
  t.is(weight(), usual);
  await closeCgroups(base);
  t.false(existsSync(folder));
});

function groupsHere(): CgroupBase | undefined {
  try {
    return openCgroups();
  } catch {
    return undefined;
  }
}

const ALLOW = 0x7fff_0000;
const EPERM = 0x0005_0001;
const ENOSYS = 0x0005_0026;
const KILL = 0x8000_0000;
const X64 = 0xc000_003e;

test('the filter lets pass what is listed, threads but no processes, and ends calls of another machine', (t) => {
  const x64 = (number: number, ...args: number[]) => judge(seccompProgram('x64'), [number, X64, 0, 0], args);
  t.is(x64(0), ALLOW); // read
  t.is(x64(41), EPERM); // socket
  t.is(x64(57), EPERM); // fork
  t.is(x64(62, 1), EPERM); // kill
  t.is(x64(101), EPERM); // ptrace
  t.is(x64(425), EPERM); // io_uring_setup
  t.is(x64(56, 0x0001_0000), ALLOW); // clone of a thread
  t.is(x64(56, 17), EPERM); // clone of a process
  t.is(x64(435), ENOSYS); // clone3
  t.is(x64(16, 1, 0x5421), ALLOW); // ioctl FIONBIO
  t.is(x64(16, 0, 0x5412), EPERM); // ioctl TIOCSTI
  t.is(x64(157, 15), ALLOW); // prctl PR_SET_NAME
  t.is(x64(157, 22), EPERM); // prctl PR_SET_SECCOMP
  t.is(x64(302, 0), ALLOW); // prlimit64 of itself
  t.is(x64(302, 77), EPERM); // prlimit64 of another
  t.is(x64(0x4000_0000), KILL); // x32
  t.is(judge(seccompProgram('x64'), [0, 0x4000_0003, 0, 0], []), KILL); // i386
  t.is(judge(seccompProgram('arm64'), [63, 0xc000_00b7, 0, 0], []), ALLOW); // read
  t.is(judge(seccompProgram('arm64'), [198, 0xc000_00b7, 0, 0], []), EPERM); // socket
});

/** Runs a program over `struct seccomp_data`, as the kernel does. */
function judge(program: Uint8Array, head: readonly number[], args: readonly number[]): number {
  const data = [...head, ...args.flatMap((arg) => [arg, 0])];
  const view = new DataView(program.buffer, program.byteOffset);
  let held = 0;
  for (let at = 0; at < program.byteLength; at += 8) {
    const [code, ifTrue, ifFalse] = [view.getUint16(at, true), view.getUint8(at + 2), view.getUint8(at + 3)];
    const operand = view.getUint32(at + 4, true);
    if (code === 0x06) return operand;
    if (code === 0x20) held = data[operand / 4] ?? 0;
    else {
      const tests: Readonly<Record<number, boolean>> = {
        21: held === operand,
        53: held >= operand,
        69: (held & operand) !== 0,
      };
      at += 8 * (tests[code] === true ? ifTrue : ifFalse);
    }
  }
  return Number.NaN;
}
