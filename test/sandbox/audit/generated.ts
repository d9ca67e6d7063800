/**
 * Attacks of generated code: what a name could bring in that slipped through the gate. It is evaluated in the process
 * of the task and has the language, but none of Node. An attack that gets what it wants returns; the others throw.
 */
import type { Jail } from '#runtime/sandbox/jail/pool';
import { handmade, LIMITS, running, taskOf } from '../../rig/jail.ts';
import { ATTACKER, type Attack, attackWith, endOf } from './attack.ts';

const group = 'generated code';
const THROWS = ['task_trapped'];
const GOT = 'return new Uint8Array();';

function attack(name: string, contained: readonly string[], body: string, wallMs = 60_000): Attack {
  const component = running(body);
  const limits = { ...LIMITS, wallMs };
  return { group, name, contained, run: (jail) => attackWith(jail, component, { limits }) };
}

const MEMORY = ['task_memory_exceeded'];
const TIME = ['task_time_exceeded'];

export const generatedAttacks: readonly Attack[] = [
  attack('reading the environment', THROWS, `process.env; ${GOT}`),
  attack('require', THROWS, `require('node:fs'); ${GOT}`),
  attack('a dynamic import', ['task_unlinked'], `return import('node:fs');`),
  {
    group,
    name: 'a static import',
    contained: ['task_unlinked'],
    run: (jail) =>
      attackWith(jail, handmade("import { readFileSync } from 'node:fs';\nexport const instantiate = 1;")),
  },
  {
    group,
    name: 'an endless loop while it is evaluated',
    contained: TIME,
    run: (jail) => attackWith(jail, handmade('for (;;);'), { limits: { ...LIMITS, wallMs: 300 } }),
  },
  attack('eval', THROWS, `(0, eval)('1'); ${GOT}`),
  attack('code from text, by a constructor', THROWS, `(async () => {}).constructor('return 1')(); ${GOT}`),
  attack(
    'code from text, by a function of the world',
    THROWS,
    `imports['infrafabric:task/log'].write.constructor('return process')(); ${GOT}`,
  ),
  attack(
    'functions of the stack',
    ['jail_died', ...THROWS],
    `Error.prepareStackTrace = (_, sites) => sites;
     const found = new Error().stack.map((site) => site.getFunction?.() ?? site.getThis?.()).filter((x) => x !== undefined);
     if (found.length === 0) throw new Error('none'); ${GOT}`,
  ),
  attack('a clock', THROWS, `new Date(); ${GOT}`),
  attack('a finer clock', THROWS, `performance.now(); ${GOT}`),
  attack('a clock of shared memory', THROWS, `new SharedArrayBuffer(8); ${GOT}`),
  attack('a timer', THROWS, `setTimeout(() => {}, 1); ${GOT}`),
  attack('the network', THROWS, `fetch('http://127.0.0.1/'); ${GOT}`),
  attack('unseeded random numbers', THROWS, `Math.random(); ${GOT}`),
  attack(
    'buffers without an end',
    MEMORY,
    'const all = []; for (;;) all.push(new Uint8Array(2 ** 24).fill(1));',
  ),
  attack(
    'memories of its own',
    MEMORY,
    'const all = []; for (;;) { const m = new WebAssembly.Memory({ initial: 512 }); new Uint8Array(m.buffer).fill(1); all.push(m); }',
  ),
  attack(
    'objects without an end',
    MEMORY,
    "const all = []; for (let n = 0; ; n += 1) all.push({ n, text: 'x' + n });",
  ),
  attack('a text that doubles', [...MEMORY, ...THROWS], "let s = 'x'; for (;;) s += s;"),
  attack('an endless loop', TIME, 'for (;;);', 300),
  attack('an expression that backtracks for ever', TIME, "/^(a+)+$/.test('a'.repeat(60) + 'b');", 300),
  attack(
    'promises without an end',
    ['task_unlinked'],
    'const f = () => Promise.resolve().then(f); return f();',
  ),
  attack(
    'an output that lies about its length',
    THROWS,
    'class L extends Uint8Array { get byteLength() { return 1; } } return new L(1e7);',
  ),
  attack(
    'an error that cannot be read',
    ['jail_died', ...THROWS],
    'throw { get message() { throw 1; }, toString() { throw 1; } };',
  ),
  attack(
    'lengths that are never written',
    ['jail_protocol'],
    `DataView.prototype.setUint32 = () => {}; ${GOT}`,
  ),
  {
    group,
    name: 'prototypes poisoned for the neighbour',
    contained: ['done'],
    run: async (jail: Jail) => {
      const poison = running(
        `Map.prototype.get = Array.prototype.push = Uint8Array.prototype.set = () => { throw 1; }; ${GOT}`,
      );
      await attackWith(jail, poison);
      return endOf(await jail.run(taskOf(running('return input;'), { tenant: 'neighbour' })));
    },
  },
  {
    group,
    name: 'what it left behind, read by the neighbour',
    contained: ['clean'],
    run: async (jail: Jail) => {
      const mark = running(
        "const was = globalThis.mark ?? 'clean'; globalThis.mark = 'dirty'; return new TextEncoder().encode(was);",
      );
      await jail.run(taskOf(mark, { tenant: ATTACKER }));
      const result = await jail.run(taskOf(mark, { tenant: 'neighbour' }));
      return result.kind === 'done' ? Buffer.from(result.output).toString() : result.error.code;
    },
  },
];
