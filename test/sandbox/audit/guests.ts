/** Attacks of guests that pass the gate: WebAssembly that computes, grows, asks and returns what it should not. */
import { gateComponent } from '#runtime/sandbox/gate/gate';
import type { TaskLimits } from '#schemas/sandbox';
import { type GuestText, guest } from '../../rig/guest.ts';
import { LIMITS } from '../../rig/jail.ts';
import { type Attack, attackWith } from './attack.ts';

const FUEL = ['task_fuel_exceeded'];
const TRAP = ['task_trapped'];
/** Enough for every honest guest here, and soon gone in a loop. */
const SOME_FUEL = { fuel: 5_000_000 };

function attack(
  group: string,
  name: string,
  contained: readonly string[],
  text: GuestText,
  limits: Partial<TaskLimits> = SOME_FUEL,
): Attack {
  return {
    group,
    name,
    contained,
    run: async (jail) =>
      attackWith(jail, await gateComponent(await guest(text)), {
        input: Buffer.from('input'),
        limits: { ...LIMITS, wallMs: 60_000, ...limits },
      }),
  };
}

const OK = '(call $ok (local.get $at) (local.get $len))';
const FOREVER = '(loop $l (br $l))';

const loops: readonly Attack[] = [
  attack('endless', 'an empty loop', FUEL, { run: `${FOREVER} unreachable` }),
  attack('endless', 'a loop behind a condition', FUEL, {
    run: `(block $out (loop $l (br_if $out (i32.const 0)) (br_if $l (i32.const 1)))) ${OK}`,
  }),
  attack('endless', 'a loop by br_table', FUEL, {
    run: `(loop $l (block $b (br_table $l $l $l (local.get $len)))) unreachable`,
  }),
  attack('endless', 'a loop of tail calls', FUEL, {
    more: '(func $f (param i32) (result i32) (return_call $f (local.get 0)))',
    run: '(call $f (i32.const 0))',
  }),
  attack('endless', 'a loop of indirect calls', FUEL, {
    more: '(type $t (func)) (table 1 funcref) (elem (i32.const 0) $g) (func $g)',
    run: `(loop $l (call_indirect (type $t) (i32.const 0)) (br $l)) unreachable`,
  }),
  attack('endless', 'a loop in the start function', FUEL, {
    more: `(func $s ${FOREVER}) (start $s)`,
    run: OK,
  }),
  attack('endless', 'a loop in the allocator', FUEL, { realloc: `${FOREVER} unreachable`, run: OK }),
  attack('endless', 'a loop after the return', FUEL, {
    more: `(func (export "cabi_post_run") (param i32) ${FOREVER})`,
    run: OK,
  }),
  attack('endless', 'filling memory again and again', FUEL, {
    run: `(loop $l (memory.fill (i32.const 8192) (i32.const 1) (i32.const 65536)) (br $l)) unreachable`,
  }),
  attack('endless', 'copying memory again and again', FUEL, {
    run: `(loop $l (memory.copy (i32.const 8192) (i32.const 16384) (i32.const 65536)) (br $l)) unreachable`,
  }),
  attack('endless', 'growing memory by nothing', FUEL, {
    run: `(loop $l (drop (memory.grow (i32.const 0))) (br $l)) unreachable`,
  }),
  attack(
    'endless',
    'more fuel than time',
    ['task_time_exceeded'],
    { run: `${FOREVER} unreachable` },
    {
      fuel: Number.MAX_SAFE_INTEGER,
      wallMs: 300,
    },
  ),
  attack('endless', 'recursion without an end', ['task_stack_exceeded', 'task_fuel_exceeded'], {
    more: '(func $f (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0))))',
    run: '(call $f (i32.const 0))',
  }),
  attack('endless', 'recursion with large frames', ['task_stack_exceeded', 'task_fuel_exceeded'], {
    more: `(func $f (param i64 i64 i64 i64 i64 i64) (result i64)
      (i64.add (local.get 5) (call $f (local.get 5) (local.get 4) (local.get 3) (local.get 2) (local.get 1) (local.get 0))))`,
    run: `(drop (call $f (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1))) ${OK}`,
  }),
];

const MEMORY = ['task_memory_exceeded'];

const memory: readonly Attack[] = [
  attack('memory', 'growing page by page', MEMORY, {
    run: `(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable`,
  }),
  attack('memory', 'growing by all at once', ['done'], {
    run: `(if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable)) ${OK}`,
  }),
  attack('memory', 'beginning with more than it may have', MEMORY, { memory: '(memory 4000)', run: OK }),
  attack('memory', 'growing a table', TRAP, {
    more: '(table $t 1 funcref)',
    run: `(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable`,
  }),
  attack('memory', 'data beyond the memory', TRAP, { more: '(data (i32.const 200000) "x")', run: OK }),
  attack('memory', 'elements beyond the table', TRAP, {
    more: '(table 1 funcref) (func $e) (elem (i32.const 9) $e)',
    run: OK,
  }),
];

const traps: readonly Attack[] = [
  attack('traps', 'unreachable', TRAP, { run: 'unreachable' }),
  attack('traps', 'dividing by zero', TRAP, { run: '(i32.div_u (i32.const 1) (i32.const 0))' }),
  attack('traps', 'a conversion that does not fit', TRAP, { run: '(i32.trunc_f64_s (f64.const nan))' }),
  attack('traps', 'reading beyond its memory', TRAP, { run: '(i32.load (i32.const -4))' }),
  attack('traps', 'writing beyond its memory', TRAP, {
    run: `(i64.store offset=4294967288 (i32.const -1) (i64.const 1)) ${OK}`,
  }),
  attack('traps', 'an indirect call of another type', TRAP, {
    more: '(type $t (func (result f64))) (table 1 funcref) (elem (i32.const 0) $g) (func $g)',
    run: `(drop (call_indirect (type $t) (i32.const 0))) ${OK}`,
  }),
  attack('traps', 'an indirect call of nothing', TRAP, {
    more: '(type $t (func)) (table 1 funcref)',
    run: `(call_indirect (type $t) (i32.const 0)) ${OK}`,
  }),
];

const LIFT = ['task_trapped', 'task_failed', 'task_memory_exceeded', 'task_stack_exceeded'];

const results: readonly Attack[] = [
  attack('results', 'more output than it may', ['task_output_exceeded'], {
    run: '(call $ok (i32.const 0) (i32.const 100000))',
  }),
  // Generated code takes what is there of it: nothing.
  attack('results', 'output that begins beyond its memory', ['done'], {
    run: '(call $ok (i32.const -16) (i32.const 16))',
  }),
  attack('results', 'output of four gigabytes', ['task_output_exceeded'], {
    run: '(call $ok (i32.const 0) (i32.const -1))',
  }),
  attack('results', 'a result at an address beyond its memory', LIFT, { run: '(i32.const -4)' }),
  attack('results', 'a result that is neither', LIFT, {
    run: '(i32.store8 (i32.const 0) (i32.const 7)) (i32.const 0)',
  }),
  attack('results', 'an error that is no text', LIFT, {
    run: '(i32.store (i32.const 64) (i32.const -1)) (call $err (i32.const 64) (i32.const 4))',
  }),
  attack('results', 'an allocator that gives what is not there', LIFT, {
    realloc: '(i32.const -8)',
    run: OK,
  }),
  attack('results', 'an allocator that gives what is in use', ['done', ...LIFT], {
    realloc: '(i32.const 0)',
    run: OK,
  }),
];

const LOG = '(import "infrafabric:task/log@0.1.0" "write" (func $log (param i32 i32 i32)))';
const PUT = '(import "infrafabric:task/kv@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))';
const RANDOM = '(import "infrafabric:task/random@0.1.0" "bytes" (func $random (param i32 i32)))';
const HTTP =
  '(import "infrafabric:task/http@0.1.0" "request" (func $http (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))';
const put = (key: string, value: string) =>
  `(call $put (i32.const ${key}) (i32.const ${value}) (i32.const 256))`;

const calls: readonly Attack[] = [
  attack('calls', 'a flood of log lines', ['task_logs_exceeded'], {
    imports: LOG,
    run: `(loop $l (call $log (i32.const 1) (i32.const 0) (i32.const 1000)) (br $l)) unreachable`,
  }),
  attack('calls', 'a flood of empty log lines', ['task_logs_exceeded'], {
    imports: LOG,
    run: `(loop $l (call $log (i32.const 1) (i32.const 0) (i32.const 0)) (br $l)) unreachable`,
  }),
  attack('calls', 'a log line of its whole memory', ['task_logs_exceeded'], {
    imports: LOG,
    run: `(call $log (i32.const 1) (i32.const 0) (i32.const 131072)) ${OK}`,
  }),
  attack('calls', 'a level that is none', LIFT, {
    imports: LOG,
    run: `(call $log (i32.const 99) (i32.const 0) (i32.const 1)) ${OK}`,
  }),
  attack('calls', 'a text beyond its memory', LIFT, {
    imports: LOG,
    run: `(call $log (i32.const 1) (i32.const -1) (i32.const 100)) ${OK}`,
  }),
  attack('calls', 'a flood of calls', ['task_calls_exceeded'], {
    imports: PUT,
    run: `(loop $l ${put('0) (i32.const 1', '0) (i32.const 1')} (br $l)) unreachable`,
  }),
  attack('calls', 'a value larger than a call may be', ['done'], {
    imports: PUT,
    memory: '(memory 40)',
    // The guest is told: the result is an error.
    run: `${put('0) (i32.const 1', '0) (i32.const 2000000')}
      (if (i32.eqz (i32.load8_u (i32.const 256))) (then unreachable)) ${OK}`,
  }),
  attack('calls', 'four gigabytes of random bytes', FUEL, {
    imports: RANDOM,
    run: `(call $random (i32.const -1) (i32.const 256)) ${OK}`,
  }),
  attack('calls', 'random bytes without an end', [...FUEL, ...MEMORY, ...LIFT], {
    imports: RANDOM,
    run: `(loop $l (call $random (i32.const 65536) (i32.const 256)) (br $l)) unreachable`,
  }),
  attack('calls', 'a header that smuggles another', ['done'], {
    imports: HTTP,
    more: '(data (i32.const 512) "GEThttp://x/a: b\\r\\nhost: evil\\0d")',
    run: `(call $http (i32.const 512) (i32.const 3) (i32.const 515) (i32.const 9) (i32.const 524) (i32.const 18)
        (i32.const 0) (i32.const 0) (i32.const 256))
      (if (i32.eqz (i32.load8_u (i32.const 256))) (then unreachable)) ${OK}`,
  }),
];

export const guestAttacks: readonly Attack[] = [...loops, ...memory, ...traps, ...results, ...calls];
