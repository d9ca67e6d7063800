import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import {
  decode,
  decodeBody,
  decodeCommit,
  encode,
  encodeBody,
  encodeCommit,
  JSON_TYPE,
  MSGPACK,
  sha256,
} from '#runtime/bus/codec';
import { COMMIT_FORMAT, type Commit } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { cases } from '../rig/effort.ts';

/** What a body may hold, binary and undefined included. */
const plainValue = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constantFrom(null, true, undefined, 0, -1, 2 ** 31, 2 ** 32 + 1, -(2 ** 53) + 1, 2 ** 53 - 1),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.string({ unit: 'grapheme' }).filter((k) => !k.startsWith('__proto_')),
      tie('value'),
      { maxKeys: 5 },
    ),
  ),
})).value;

function codeOf(work: () => unknown): string {
  try {
    work();
    return 'ok';
  } catch (thrown) {
    return thrown instanceof FabricError ? thrown.code : `untyped: ${String(thrown)}`;
  }
}

const refusal = (body: Uint8Array, type: string): string => codeOf(() => decodeBody(body, type));

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

test('encoding, decoding and encoding again gives the same bytes', (t) => {
  fc.assert(
    fc.property(plainValue, (value) => {
      const bytes = Buffer.from(encode(value));
      t.deepEqual(Buffer.from(encode(decode(bytes))), bytes);
    }),
    { numRuns: cases(2_000, 400) },
  );
  t.pass();
});

test('a msgpack body is taken as it is, whatever plain data it holds', (t) => {
  fc.assert(
    fc.property(plainValue, (value) => {
      const body = decodeBody(encode(value), MSGPACK);
      t.deepEqual(Buffer.from(encode(body)), Buffer.from(encode(value)));
    }),
    { numRuns: cases(2_000, 400) },
  );
  t.pass();
});

test('a JSON body is what the log gives back: no negative zero survives in one of them only', (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false, maxDepth: 5 }), (value) => {
      const bytes = Buffer.from(JSON.stringify(value));
      if (/"__proto_(_)?":/.test(bytes.toString())) return;
      const body = decodeBody(bytes, JSON_TYPE);
      if (typeof body === 'object') t.deepEqual(decode(encode(body)), body);
      t.deepEqual(decodeBody(encodeBody(body, JSON_TYPE), undefined), body);
    }),
    { numRuns: cases(2_000, 400) },
  );
  t.true(Object.is((decodeBody(Buffer.from('{"a":-0}'), JSON_TYPE) as { a: number }).a, 0));
  t.true(Object.is((decodeBody(Buffer.from('[[-0]]'), JSON_TYPE) as number[][])[0]?.[0], 0));
});

test('the content type tells JSON from msgpack; without one it is JSON', (t) => {
  const event = { type: 'add', by: 2 };
  t.deepEqual(decodeBody(encodeBody(event), undefined), event);
  t.deepEqual(decodeBody(encodeBody(event, MSGPACK), `${MSGPACK}; charset=binary`), event);
  t.is(refusal(encodeBody(event, MSGPACK), JSON_TYPE), 'bad_body');
  t.is(Buffer.from(encodeBody(undefined)).toString(), 'null');
});

test('what is no plain data is refused, in JSON and in msgpack', (t) => {
  const json = [
    '',
    '{',
    '{"a":1}x',
    'NaN',
    '1e999',
    '{"a":{"__proto__":{"admin":true}}}',
    '"\\ud800"',
    '[{"\\udfff":1}]',
  ];
  for (const text of json) t.is(refusal(Buffer.from(text), JSON_TYPE), 'bad_body', text);
  t.is(refusal(Uint8Array.of(0x22, 0xff, 0x22), JSON_TYPE), 'bad_body');
  const { pack } = new Packr({ useRecords: false, moreTypes: true, structuredClone: true });
  const cycle: unknown[] = [];
  cycle.push(cycle);
  const refused: readonly unknown[] = [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    new Date(0),
    2n ** 60n,
    2n ** 90n,
    /a/,
    new Set([1]),
    new Error('x'),
    cycle,
    new Float64Array(2),
    { __proto_: 1 },
  ];
  for (const value of refused) t.is(refusal(pack(value), MSGPACK), 'bad_body', String(value));
  t.deepEqual(({} as { admin?: boolean }).admin, undefined);
});

test('msgpack that lies about its length, its depth or its end is refused before it is decoded', (t) => {
  const bytes = (...b: number[]): Uint8Array => Uint8Array.from(b);
  const lies = [
    bytes(),
    bytes(0xc1),
    bytes(0x01, 0x02),
    bytes(0x92, 0x01),
    bytes(0xdd, 0xff, 0xff, 0xff, 0xff),
    bytes(0xdd, 0x01),
    bytes(0xdf, 0x7f, 0xff, 0xff, 0xff),
    bytes(0xdb, 0xff, 0xff, 0xff, 0xff, 0x41),
    bytes(0xc4),
    bytes(0xcb, 0x00),
    // A record definition: the decoder would compile it.
    bytes(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01),
    bytes(0xd4),
    bytes(0xc7, 0xff, 0x00),
    bytes(0xd8, 0x00),
  ];
  for (const lie of lies) t.is(refusal(lie, MSGPACK), 'bad_body', Buffer.from(lie).toString('hex'));
  t.is(refusal(new Uint8Array(1_000_000).fill(0x91), MSGPACK), 'bad_body');
  t.is(refusal(new Uint8Array(1_000_000).fill(0x5b), JSON_TYPE), 'bad_body');
  for (const type of [JSON_TYPE, MSGPACK]) {
    t.is(refusal(encodeBody(nested(64), type), type), 'ok');
    t.is(refusal(encodeBody(nested(65), type), type), 'bad_body');
  }
});

test('integers that other encoders write with 64 bits are numbers', (t) => {
  const big = Buffer.alloc(9);
  big.writeUInt8(0xcf);
  big.writeBigUInt64BE(5n, 1);
  t.is(decodeBody(big, MSGPACK), 5);
  big.writeUInt8(0xd3);
  big.writeBigInt64BE(-5n, 1);
  t.is(decodeBody(big, MSGPACK), -5);
});

test('random bytes, and good bodies with some bytes changed, are data or bad_body and nothing else', (t) => {
  const anyType = fc.constantFrom(JSON_TYPE, MSGPACK);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), anyType, (bytes, type) => {
      t.regex(refusal(bytes, type), /^(ok|bad_body)$/);
    }),
    { numRuns: cases(20_000, 2_000) },
  );
  const change = fc.tuple(fc.nat(), fc.nat(255));
  fc.assert(
    fc.property(
      plainValue,
      fc.array(change, { minLength: 1, maxLength: 4 }),
      anyType,
      (value, changes, type) => {
        const bytes = Uint8Array.from(
          type === MSGPACK ? encode(value) : encodeBody(decode(encode(value)), type),
        );
        for (const [at, byte] of changes) bytes[at % Math.max(bytes.length, 1)] = byte;
        t.regex(refusal(bytes, type), /^(ok|bad_body)$/);
      },
    ),
    { numRuns: cases(20_000, 2_000) },
  );
  t.pass();
});

test('binary values are plain copies: changing the source changes nothing', (t) => {
  const source = Buffer.from(encode({ bytes: Uint8Array.of(1, 2, 3) }));
  for (const value of [decode(source), decodeBody(source, MSGPACK)]) {
    const { bytes } = value as { bytes: Uint8Array };
    t.is(Object.getPrototypeOf(bytes), Uint8Array.prototype);
    t.is(bytes.buffer.byteLength, 3);
  }
});

const commit: Commit = {
  format: COMMIT_FORMAT,
  shard: 1,
  index: 7,
  prev: Uint8Array.from(sha256(new Uint8Array())),
  at: 1_700_000_000_000,
  epoch: 2,
  consumed: 40,
  acted: -1,
  entries: [
    { cause: { kind: 'inbox', seq: 40, id: 'm1' }, actor: 'counter/k1', event: { type: 'inc' }, after: 'on' },
  ],
  mail: [{ to: 'counter/k2', from: 'counter/k1', event: { type: 'inc' } }],
  digest: Uint8Array.from(sha256(Uint8Array.of(1))),
};

test('a commit comes back as it was; anything else is bad_commit', (t) => {
  t.deepEqual(decodeCommit(encodeCommit(commit)), commit);
  const broken: readonly unknown[] = [
    null,
    5,
    [],
    {},
    { ...commit, format: 2 },
    { ...commit, shard: -1 },
    { ...commit, index: '7' },
    { ...commit, prev: new Uint8Array(31) },
    { ...commit, at: Number.NaN },
    { ...commit, entries: {} },
    { ...commit, entries: [null] },
    { ...commit, entries: [{ actor: 'counter/k1' }] },
    { ...commit, mail: 3 },
    { ...commit, digest: 'x' },
  ];
  for (const value of broken)
    t.is(
      codeOf(() => decodeCommit(encode(value))),
      'bad_commit',
      JSON.stringify(value),
    );
  const bytes = encodeCommit(commit);
  for (let end = 0; end < bytes.length; end++)
    t.is(
      codeOf(() => decodeCommit(bytes.slice(0, end))),
      'bad_commit',
    );
  t.regex(
    t.throws(() => decodeCommit(encode({ ...commit, format: 2 })))?.message ?? '',
    /format 2; 1 is known/,
  );
});
