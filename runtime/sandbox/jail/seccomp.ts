/**
 * The system calls that a jail's process may make, as a classic BPF program for `bwrap --seccomp`.
 *
 * C1  Everything that is not listed is refused (EPERM); a call of another architecture's table ends the process.
 * C2  Threads yes, processes no: `clone` needs CLONE_THREAD, and `clone3`, whose flags no filter can read, is said
 *     not to exist, so that libc falls back to `clone`.
 * C3  No call that names another process, opens a socket, mounts, traces, or loads anything into the kernel.
 */
import { type Machine, SYSCALLS } from './syscalls.ts';

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

const KILL_PROCESS = 0x8000_0000;
const ALLOW = 0x7fff_0000;
const ERRNO = 0x0005_0000;
const EPERM = 1;
const ENOSYS = 38;

/** Offsets in `struct seccomp_data`. */
const AT_NUMBER = 0;
const AT_MACHINE = 4;
const atArgument = (index: number): number => 16 + 8 * index;

/** Calls of the x32 table come with the number of the x64 machine. */
const X32_BIT = 0x4000_0000;
const MACHINE_IDS: Readonly<Record<Machine, number>> = { x64: 0xc000_003e, arm64: 0xc000_00b7 };

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

/** The program for a machine, as bytes. C1. */
export function seccompProgram(machine: Machine): Uint8Array {
  const index = machine === 'x64' ? 0 : 1;
  const rules = SYSCALLS.flatMap(({ numbers, ...rule }) => {
    const number = numbers[index];
    return number === undefined ? [] : [ruleProgram(number, rule)];
  });
  return assemble([
    [LOAD, 0, 0, AT_MACHINE],
    [JUMP_EQUAL, 1, 0, MACHINE_IDS[machine]],
    [RETURN, 0, 0, KILL_PROCESS],
    [LOAD, 0, 0, AT_NUMBER],
    [JUMP_AT_LEAST, 0, 1, X32_BIT],
    [RETURN, 0, 0, KILL_PROCESS],
    ...rules.flat(),
    [RETURN, 0, 0, ERRNO | EPERM],
  ]);
}

/** Jumps over its own rest where the number is another: no offset outgrows its byte, however many rules there are. */
function ruleProgram(
  number: number,
  rule: Omit<(typeof SYSCALLS)[number], 'numbers'>,
): readonly Instruction[] {
  const { isAbsent, argument } = rule;
  if (isAbsent) return whenNumber(number, [[RETURN, 0, 0, ERRNO | ENOSYS]]); // C2
  if (argument === undefined) return whenNumber(number, [[RETURN, 0, 0, ALLOW]]);
  const load: Instruction = [LOAD, 0, 0, atArgument(argument.index)];
  const refuse: Instruction = [RETURN, 0, 0, ERRNO | EPERM];
  const allow: Instruction = [RETURN, 0, 0, ALLOW];
  if (argument.hasBit !== undefined) {
    return whenNumber(number, [load, [JUMP_ANY_BIT, 1, 0, argument.hasBit], refuse, allow]);
  }
  const values = argument.isOneOf ?? [];
  const tests = values.map((value, at): Instruction => [JUMP_EQUAL, values.length - at, 0, value]);
  return whenNumber(number, [load, ...tests, refuse, allow]);
}

function whenNumber(number: number, then: readonly Instruction[]): readonly Instruction[] {
  return [[JUMP_EQUAL, 0, then.length, number], ...then];
}

function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, ifTrue, ifFalse, operand], index) => {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, ifTrue);
    view.setUint8(index * 8 + 3, ifFalse);
    view.setUint32(index * 8 + 4, operand >>> 0, true);
  });
  return bytes;
}
