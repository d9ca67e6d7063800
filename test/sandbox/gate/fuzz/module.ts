/** Random core modules: valid, with every kind of section that the gate lets in. */
import { Writer } from '#runtime/sandbox/gate/writer';
import { type FunctionType, randomBody, type Surroundings } from './body.ts';
import { Choices } from './choices.ts';
import { Types, type ValueType } from './operators.ts';

const { i32, i64, f32, f64, v128 } = Types;

/** What both runs of a module are given. */
export const HOST = 'host';
export const TURNS = 500;
const FUNCTION_TYPES: readonly FunctionType[] = [
  { takes: [], gives: [] },
  { takes: [i32], gives: [i32] },
  { takes: [i32, i64], gives: [i64] },
  { takes: [f64, f32], gives: [f64] },
  { takes: [i32, i32], gives: [i32, i32] },
  { takes: [f32], gives: [f32] },
];
/** Both have one, so that the gate's own changes nothing that can be seen. */
const TABLE_MAX = 8;
const PAGES_MAX = 3;
const DATA_SEGMENTS = 2;
const ELEMENT_SEGMENTS = 2;

export function randomModule(seed: number): Uint8Array<ArrayBuffer> {
  const choices = new Choices(seed);
  const hasHostGlobal = choices.oneIn(2);
  const imported = [1]; // One function of the host, of the second type.
  const own = Array.from({ length: 1 + choices.below(5) }, () => choices.below(FUNCTION_TYPES.length));
  const functions = [...imported, ...own];
  const first = hasHostGlobal ? 1 : 0;
  const globalTypes: ValueType[] = Array.from({ length: 1 + choices.below(5) }, () =>
    choices.of([i32, i64, f32, f64, v128]),
  );
  const around: Surroundings = {
    functionTypes: FUNCTION_TYPES,
    functions,
    globals: globalTypes.map((type, index) => [first + 1 + index, type]),
    turns: first,
    dataSegments: DATA_SEGMENTS,
    elementSegments: ELEMENT_SEGMENTS,
  };

  const out = new Writer(4_096);
  out.raw([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const section = (id: number, write: (to: Writer) => void) => {
    const content = new Writer();
    write(content);
    out.section(id, content.written);
  };
  const list = <T>(to: Writer, items: readonly T[], write: (item: T, index: number) => void) => {
    to.u32(items.length);
    items.forEach(write);
  };
  const custom = () => {
    if (!choices.oneIn(3)) return;
    section(0, (to) => {
      to.text('noise');
      to.raw(Array.from({ length: choices.below(9) }, () => choices.below(256)));
    });
  };

  section(1, (to) =>
    list(to, FUNCTION_TYPES, ({ takes, gives }) => {
      to.u8(0x60);
      to.u32(takes.length);
      to.raw(takes);
      to.u32(gives.length);
      to.raw(gives);
    }),
  );
  custom();
  section(2, (to) => {
    to.u32(first + 1);
    to.text(HOST);
    to.text('call');
    to.raw([0, 1]);
    if (!hasHostGlobal) return;
    to.text(HOST);
    to.text('base');
    to.raw([3, i32, 0]);
  });
  section(3, (to) => list(to, own, (type) => to.u32(type)));
  section(4, (to) => to.raw([1, 0x70, 1, 4, TABLE_MAX]));
  section(5, (to) => to.raw([1, 1, 1, PAGES_MAX]));
  section(6, (to) =>
    list(to, [i32, ...globalTypes], (type, index) => {
      to.raw([type, 1]);
      if (index === 0) {
        to.u8(0x41);
        to.s32(TURNS);
      } else if (type === i32 && hasHostGlobal) to.raw([0x23, 0]);
      else zero(to, type);
      to.u8(0x0b);
    }),
  );
  section(7, (to) => {
    const exports = [
      ...own.map((_, index) => ({ name: `f${index}`, kind: 0, index: imported.length + index })),
      { name: 'turns', kind: 3, index: around.turns },
      ...around.globals.flatMap(([index, type]) =>
        type === v128 ? [] : [{ name: `g${index}`, kind: 3, index }],
      ),
      { name: 'memory', kind: 2, index: 0 },
    ];
    list(to, exports, ({ name, kind, index }) => {
      to.text(name);
      to.u8(kind);
      to.u32(index);
    });
  });
  const starts = own.flatMap((type, index) => (type === 0 ? [imported.length + index] : []));
  if (starts.length > 0 && choices.oneIn(3)) section(8, (to) => to.u32(choices.of(starts)));
  section(9, (to) => {
    to.u32(ELEMENT_SEGMENTS);
    // One that fills the table and declares every function, and a passive one.
    to.raw([0, ...(hasHostGlobal && choices.oneIn(2) ? [0x23, 0] : [0x41, 0]), 0x0b]);
    list(
      to,
      [0, 1, 2].map((index) => index % functions.length),
      (index) => to.u32(index),
    );
    to.raw([5, 0x70]);
    list(to, functions, (_, index) => {
      to.u8(0xd2);
      to.u32(index);
      to.u8(0x0b);
    });
  });
  section(12, (to) => to.u32(DATA_SEGMENTS));
  section(10, (to) =>
    list(to, own, (type) => {
      const mine = FUNCTION_TYPES[type];
      if (mine === undefined) throw new Error('no such type');
      to.sized(randomBody(choices, mine, around));
    }),
  );
  section(11, (to) => {
    to.u32(DATA_SEGMENTS);
    to.raw([0, 0x41, 16, 0x0b]);
    to.sized(Uint8Array.from({ length: choices.below(40) }, () => choices.below(256)));
    to.u8(1);
    to.sized(Uint8Array.from({ length: choices.below(20) }, () => choices.below(256)));
  });
  custom();
  return out.written.slice();
}

function zero(to: Writer, type: ValueType): void {
  if (type === i32 || type === i64) to.raw([type === i32 ? 0x41 : 0x42, 0]);
  else if (type === f32) to.raw([0x43, 0, 0, 0, 0]);
  else if (type === f64) to.raw([0x44, 0, 0, 0, 0, 0, 0, 0, 0]);
  else to.raw([0xfd, 0x0c, ...new Uint8Array(16)]);
}
