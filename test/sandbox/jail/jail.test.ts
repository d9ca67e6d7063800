/** One jail for the file; where layers are missing on a machine the tests say so and go on with what there is. */
import test, { type ExecutionContext } from 'ava';
import { Jail } from '#runtime/sandbox/jail/pool';
import type { HostCall, JailResult } from '#runtime/sandbox/jail/types';
import { handmade, LIMITS, running, taskOf } from '../../rig/jail.ts';
import { echo, wat } from '../gate/guests.ts';

let jail: Jail;
test.before(async (t) => {
  jail = await Jail.open({ require: 'any', size: 2, spares: 1 });
  for (const { name, isOn, seen } of jail.layers) if (!isOn) t.log(`without ${name}: ${seen}`);
});
test.after.always(() => jail?.[Symbol.asyncDispose]());

function failure(t: ExecutionContext, result: JailResult): string {
  if (result.kind === 'done') {
    t.log(new TextDecoder().decode(result.output));
    return 'done';
  }
  return result.error.code;
}

const ECHO = running('return input;');
const LOOP = running('for (;;);');

test.serial('a task puts out what its guest returns, and says what it used', async (t) => {
  const result = await jail.run(taskOf(ECHO, { input: Buffer.from('hello') }));
  t.is(result.kind, 'done');
  if (result.kind === 'done') t.is(Buffer.from(result.output).toString(), 'hello');
  t.is(result.hostCalls, 0);
  t.true(result.ms > 0);
});

test.serial(
  'a runaway ends at its time, alone: the neighbour runs on and the next task gets a fresh process',
  async (t) => {
    const runaway = jail.run(taskOf(LOOP, { tenant: 'evil', limits: { ...LIMITS, wallMs: 300 } }));
    t.is((await jail.run(taskOf(ECHO))).kind, 'done');
    const result = await runaway;
    t.is(failure(t, result), 'task_time_exceeded');
    t.true(result.ms >= 300);
    t.is((await jail.run(taskOf(ECHO, { tenant: 'evil' }))).kind, 'done');
  },
);

test.serial('the time of a run begins when its component is loaded', async (t) => {
  const slowToLoad = handmade(
    'for (let k = 0; k < 1e9; k++); export function instantiate() { return { run: (input) => input }; }',
  );
  const result = await jail.run(taskOf(slowToLoad, { limits: { ...LIMITS, wallMs: 300 } }));
  t.is(failure(t, result), 'done');
  t.true(result.ms < 300);
});

test.serial('what a guest asks of the host goes out typed, and the answer comes back', async (t) => {
  const calls: HostCall[] = [];
  const guest = running(`
    const kv = imports['infrafabric:task/kv'], http = imports['infrafabric:task/http'];
    kv.put('k', new Uint8Array([1, 2]));
    imports['infrafabric:task/log'].write('warn', 'näher');
    let refused; try { kv.get('absent'); } catch (e) { refused = e; }
    const { status, headers } = http.request('GET', 'https://x.test/', 'accept: text/plain\\nx-a: b', new Uint8Array());
    return new TextEncoder().encode(JSON.stringify({ refused, status, headers, value: [...kv.get('k')] }));`);
  const result = await jail.run(
    taskOf(guest, {
      host: async (call) => {
        calls.push(call);
        if (call.kind === 'http') {
          return { ok: true, value: { status: 204, headers: [['x-b', 'c']], body: new Uint8Array() } };
        }
        if (call.kind !== 'kv-get') return { ok: true, value: undefined };
        if (call.key === 'k') return { ok: true, value: new Uint8Array([1, 2]) };
        return { ok: false, code: 'grant_refused', message: 'no such prefix' };
      },
    }),
  );
  if (result.kind !== 'done') return t.fail(result.error.message);
  t.deepEqual(JSON.parse(Buffer.from(result.output).toString()), {
    refused: 'grant_refused: no such prefix',
    status: 204,
    headers: 'x-b: c',
    value: [1, 2],
  });
  t.deepEqual(calls[2], {
    kind: 'http',
    method: 'GET',
    url: 'https://x.test/',
    headers: [
      ['accept', 'text/plain'],
      ['x-a', 'b'],
    ],
    body: new Uint8Array(),
  });
  t.deepEqual(result.logs, [{ level: 'warn', text: 'näher' }]);
  t.is(result.hostCalls, 4);
});

test.serial('every limit has its own error', async (t) => {
  const flood = (body: string) =>
    running(`const kv = imports['infrafabric:task/kv'], log = imports['infrafabric:task/log']; ${body}`);
  const cases: readonly [code: string, body: string][] = [
    ['task_calls_exceeded', "for (;;) kv.put('k', new Uint8Array());"],
    ['task_logs_exceeded', "for (;;) log.write('info', 'x'.repeat(5000));"],
    ['task_output_exceeded', 'return new Uint8Array(70000);'],
    ['task_stack_exceeded', 'const f = () => f() + 1; f();'],
    ['task_failed', "throw 'the guest says no';"],
    ['task_unlinked', 'return 7;'],
    ['task_trapped', "throw new WebAssembly.RuntimeError('unreachable');"],
  ];
  for (const [code, body] of cases) t.is(failure(t, await jail.run(taskOf(flood(body)))), code);
  t.is(failure(t, await jail.run(taskOf(handmade('export const x = 1;')))), 'task_unlinked');
  t.is(failure(t, await jail.run(taskOf(handmade("import 'node:fs';")))), 'task_unlinked');
});

test.serial('what the world does for a guest is paid from its fuel, by its size', async (t) => {
  const limits = { ...LIMITS, fuel: 5_000_000 };
  const forever = (work: string) =>
    running(`const big = new Uint8Array(2 ** 21), none = new Array(100_000).fill(null);
      for (;;) try { ${work} } catch (thrown) { if (typeof thrown !== 'string') throw thrown; }`);
  const cases: readonly [what: string, work: string][] = [
    ['random bytes', "imports['infrafabric:task/random'].bytes(65_536);"],
    ['calls that are too big to be made', "imports['infrafabric:task/kv'].put('k', big);"],
    ['waiting for many things', "imports['wasi:io/poll'].poll(none);"],
  ];
  for (const [what, work] of cases)
    t.is(failure(t, await jail.run(taskOf(forever(work), { limits }))), 'task_fuel_exceeded', what);
  const word = running("imports['infrafabric:task/random'].word(); return input;");
  t.true((await jail.run(taskOf(word, { limits }))).fuel > 0);
});

test.serial('a task that is taken back ends, and what its host waits for is told', async (t) => {
  const abort = new AbortController();
  let isHostTold = false;
  const result = await jail.run(
    taskOf(running("imports['infrafabric:task/kv'].get('k');"), {
      signal: abort.signal,
      host: (_call, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            isHostTold = true;
            reject(signal.reason);
          });
          abort.abort();
        }),
    }),
  );
  t.is(failure(t, result), 'task_cancelled');
  t.true(isHostTold);
});

test.serial(
  'a component is let in by a process of its own, and runs; what is no component is told where',
  async (t) => {
    const component = await jail.prepare(await wat(echo()));
    t.regex(component.sha256, /^[0-9a-f]{64}$/);
    const result = await jail.run(taskOf(component, { input: Buffer.from('through') }));
    if (result.kind !== 'done') return t.fail(result.error.message);
    t.is(Buffer.from(result.output).toString(), 'through');
    t.true(result.fuel > 0 && result.memoryBytes === 65_536);
    const again = await jail.run(taskOf(component, { input: Buffer.from('through') }));
    t.is(again.fuel, result.fuel);
    await t.throwsAsync(jail.prepare(Buffer.from('no component')), { code: 'component_malformed' });
  },
);

test.serial('a tenant never meets the process of another', async (t) => {
  const mark = running(
    "const was = globalThis.mark ?? 'clean'; globalThis.mark = 'dirty'; return new TextEncoder().encode(was);",
  );
  const markOf = async (tenant: string) => {
    const result = await jail.run(taskOf(mark, { tenant }));
    return result.kind === 'done' ? Buffer.from(result.output).toString() : result.error.code;
  };
  for (const tenant of ['a', 'b', 'c', 'd', 'e']) t.is(await markOf(tenant), 'clean');
});
