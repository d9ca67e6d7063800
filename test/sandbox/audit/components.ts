/** Attacks on the gate: components that are none, that name what they may not, or that are built to break a reader. */
import { toWireError } from '#schemas/fabric-error';
import { echo, wat } from '../gate/guests.ts';
import type { Attack } from './attack.ts';

const group = 'components';

/** Every refusal of the gate is one of these; `done` is none. */
const REFUSALS = [
  'component_malformed',
  'component_feature',
  'component_name',
  'component_import',
  'component_export',
  'component_too_large',
  'component_invalid',
];

function attack(name: string, contained: readonly string[], bytes: () => Promise<Uint8Array>): Attack {
  return {
    group,
    name,
    contained,
    run: async (jail) =>
      jail.prepare(await bytes()).then(
        () => 'let in',
        (error: unknown) => toWireError(error).code,
      ),
  };
}

const text = (name: string, contained: readonly string[], component: string): Attack =>
  attack(name, contained, () => wat(component));

/** A valid component in which a name was replaced by another of its length. */
function renamed(name: string, from: string, to: string): Attack {
  return attack(name, ['component_name', 'component_malformed'], async () => {
    const bytes = Buffer.from(await wat(echo({ entry: 'entryname', core: '(func (export "corenames"))' })));
    for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1))
      bytes.write(to, at, 'latin1');
    return bytes;
  });
}

const FEATURE = ['component_feature', 'component_malformed', 'component_invalid'];
const LARGE = ['component_too_large', 'component_malformed', 'component_feature', 'component_invalid'];
const MIB = 1024 * 1024;

export const componentAttacks: readonly Attack[] = [
  renamed('code in the name of an export: a quote', 'entryname', "x'+evil+'"),
  renamed('code in the name of an export: a template', 'entryname', 'x`+evil+`'),
  renamed('code in the name of an export: a comment', 'entryname', '*/evil/*x'),
  renamed('code in the name of an export: a line', 'entryname', 'x\nevil()\n'),
  renamed('a name of every object', 'entryname', '__proto__'),
  renamed('code in the name of a core export', 'corenames', "x'+evil+'"),
  renamed('a name that is no text', 'corenames', '\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff'),
  text(
    'an import of what nobody gives',
    ['component_import'],
    echo({ before: '(import "wasi:http/outgoing-handler@0.2.0" (instance))' }),
  ),
  text('no run', ['component_export'], echo({ entry: 'other' })),
  text(
    'the meter, named by a core module',
    ['component_name', 'component_import'],
    echo({ before: '(core module (import "infrafabric:meter" "fuel" (global (mut i64))))' }),
  ),
  text(
    'the name of the memory, taken',
    ['component_name'],
    echo({ core: '(func (export "infrafabric:memory"))' }),
  ),
  text('threads', FEATURE, echo({ before: '(core module (memory 1 1 shared))' })),
  text('memory of 64 bits', FEATURE, echo({ before: '(core module (memory i64 1))' })),
  text('two memories', FEATURE, echo({ before: '(core module (memory 1) (memory 1))' })),
  text('garbage collection', FEATURE, echo({ before: '(core module (type (struct (field i32))))' })),
  text('exceptions, which could catch a trap', FEATURE, echo({ before: '(core module (tag))' })),
  text(
    'instructions that differ by machine',
    FEATURE,
    echo({
      core: '(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))',
    }),
  ),
  text('a table of four billion', LARGE, echo({ core: '(table 4000000000 funcref)' })),
  text('a memory of four gigabytes', LARGE, echo({ before: '(core module (memory 65536))' })),
  text('sixty thousand locals', LARGE, echo({ core: `(func (local ${'i32 i64 '.repeat(30_000)}))` })),
  text('a thousand modules', LARGE, echo({ before: '(core module)'.repeat(1_000) })),
  text('components in components', LARGE, echo({ before: `${'(component '.repeat(90)}${')'.repeat(90)}` })),
  attack('33 MiB of nothing', LARGE, async () => {
    const [head, size] = [await wat('(component)'), 33 * MIB];
    const section = Buffer.from([0, ...leb(size + 2), 1, 0x78]);
    return Buffer.concat([head, section, Buffer.alloc(size)]);
  }),
  attack('no component at all', ['component_malformed', 'component_feature'], async () => wat('(module)')),
  attack('nothing', ['component_malformed'], async () => new Uint8Array()),
  attack('a length that lies', ['component_malformed', 'component_too_large'], async () =>
    Buffer.concat([await wat('(component)'), Buffer.from([1, 0xff, 0xff, 0xff, 0xff, 0x0f])]),
  ),
  ...[0.2, 0.4, 0.6, 0.8].map((part) =>
    attack(`cut at ${part * 100} %`, REFUSALS, async () => {
      const bytes = await wat(echo());
      return bytes.subarray(0, Math.floor(bytes.length * part));
    }),
  ),
];

function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
