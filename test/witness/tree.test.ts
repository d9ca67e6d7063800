/** The Merkle tree, its tiles, notes, checkpoints, cosignatures, proofs and policies, against their specifications. */
import { generateKeyPairSync, hash, sign } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { concat, fromBase64, toBase64, utf8 } from '#runtime/witness/bytes';
import { formatCheckpoint, parseCheckpoint } from '#runtime/witness/checkpoint';
import { cosign } from '#runtime/witness/cosignature';
import { decodeLeaf, encodeLeaf, LEAF_BYTES } from '#runtime/witness/leaf';
import type { SubtreeReader } from '#runtime/witness/merkle';
import { merkle, nodePrimitives } from '#runtime/witness/node-crypto';
import {
  COSIGNATURE_V1,
  formatNote,
  formatVerifierKey,
  parseNote,
  parseVerifierKey,
  signText,
  type VerifierKey,
  verifierKey,
  verifyNote,
} from '#runtime/witness/note';
import { isPolicy, judge, parsePolicy } from '#runtime/witness/policy';
import {
  decodeBundle,
  encodeBundle,
  levelSize,
  parseTilePath,
  type Tile,
  tilePath,
  tileReader,
  tileRoot,
  tilesOf,
} from '#runtime/witness/tiles';
import { formatTlogProof, parseTlogProof } from '#runtime/witness/tlog-proof';
import { cases } from '../rig/effort.ts';

const { sha256 } = nodePrimitives;
const SIZES = [0, 1, 2, 3, 7, 8, 255, 256, 257, 1_000];

/** The definition of RFC 6962, section 2.1, word for word: slow, and nothing of ours in it. */
function definition(entries: readonly Uint8Array[]): Uint8Array {
  const sha = (...parts: Uint8Array[]): Uint8Array => hash('sha256', Buffer.concat(parts), 'buffer');
  const [first] = entries;
  if (first === undefined) return sha();
  if (entries.length === 1) return sha(Uint8Array.of(0), first);
  let k = 1;
  while (k * 2 < entries.length) k *= 2;
  return sha(Uint8Array.of(1), definition(entries.slice(0, k)), definition(entries.slice(k)));
}

const entriesOf = (size: number): Uint8Array[] =>
  Array.from({ length: size }, (_, n) =>
    encodeLeaf({ shard: n % 3, index: n, seq: n + 1, at: 1_000 + n, hash: sha256(utf8(`commit ${n}`)) }),
  );

/** Every tile and bundle of a tree, made level by level as the specification says. */
function tilesIn(entries: readonly Uint8Array[]): Map<string, Uint8Array> {
  const tiles = new Map<string, Uint8Array>();
  let row = entries.map((entry) => merkle.leafHash(entry));
  const rows = [row];
  while (row.length >= 256) {
    row = Array.from({ length: Math.floor(row.length / 256) }, (_, n) =>
      tileRoot(merkle, row.slice(n * 256, n * 256 + 256)),
    );
    rows.push(row);
  }
  for (const tile of tilesOf(entries.length)) {
    const [from, to] = [tile.n * 256, tile.n * 256 + tile.width];
    const bytes =
      tile.level === 'entries'
        ? encodeBundle(entries.slice(from, to))
        : concat(...(rows[tile.level]?.slice(from, to) ?? []));
    tiles.set(tilePath(tile), bytes);
  }
  return tiles;
}

function readerOf(entries: readonly Uint8Array[], size = entries.length): SubtreeReader {
  const tiles = tilesIn(entries.slice(0, size));
  return tileReader(merkle, size, async (tile: Tile) => {
    const found = tiles.get(tilePath(tile));
    if (found === undefined) throw new Error(`no ${tilePath(tile)}`);
    return found;
  });
}

interface Signer {
  readonly key: VerifierKey;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

function signer(name: string, type: VerifierKey['type'] = 1): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32));
  return {
    key: verifierKey(sha256, name, raw, type),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
};

test('roots of trees read through tiles are those of the definition', async (t) => {
  const entries = entriesOf(1_000);
  for (const size of SIZES) {
    t.deepEqual(
      Buffer.from(await merkle.root(size, readerOf(entries, size))),
      Buffer.from(definition(entries.slice(0, size))),
      String(size),
    );
  }
  t.deepEqual([...tilesOf(70_000)].filter(({ width }) => width < 256).map(tilePath), [
    'tile/entries/273.p/112',
    'tile/0/273.p/112',
    'tile/1/001.p/17',
    'tile/2/000.p/1',
  ]);
  t.is([...tilesOf(70_000)].length, 274 * 2 + 2 + 1);
  t.is(levelSize(70_000, 1), 273);
});

test('every inclusion proof leads to the root, and no changed one does', async (t) => {
  const entries = entriesOf(300);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(), async (size, n, bit) => {
      const index = n % size;
      const read = readerOf(entries, size);
      const root = await merkle.root(size, read);
      const proof = await merkle.inclusionProof(index, size, read);
      const leaf = merkle.leafHash(entries[index] ?? new Uint8Array());
      t.is(hex(merkle.rootOfInclusion(leaf, index, size, proof)), hex(root));
      const isRoot = (found: Uint8Array | undefined): boolean =>
        found !== undefined && Buffer.compare(found, root) === 0;
      t.false(isRoot(merkle.rootOfInclusion(flipped(leaf, bit % 256), index, size, proof)));
      if (size > 1) t.false(isRoot(merkle.rootOfInclusion(leaf, index === 0 ? 1 : index - 1, size, proof)));
      t.false(isRoot(merkle.rootOfInclusion(leaf, index, size, [...proof, leaf])));
      if (proof.length === 0) return;
      const at = bit % proof.length;
      const changed = proof.map((one, i) => (i === at ? flipped(one, bit % 256) : one));
      t.false(isRoot(merkle.rootOfInclusion(leaf, index, size, changed)));
      t.false(isRoot(merkle.rootOfInclusion(leaf, index, size, proof.slice(1))));
    }),
    { numRuns: cases(150, 50) },
  );
});

test('a tree is consistent with every tree it grew from, and with no other', async (t) => {
  const entries = entriesOf(600);
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 600 }), fc.nat({ max: 600 }), fc.nat(), async (a, b, bit) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      const read = readerOf(entries, to);
      const heads = await Promise.all(
        [from, to].map(async (size) => ({ size, root: await merkle.root(size, readerOf(entries, size)) })),
      );
      const [old, now] = heads as [(typeof heads)[0], (typeof heads)[0]];
      const proof = await merkle.consistencyProof(from, to, read);
      t.true(merkle.isConsistent(old, now, proof));
      t.false(merkle.isConsistent({ ...old, root: flipped(old.root, bit % 256) }, now, proof));
      if (from > 0) t.false(merkle.isConsistent(old, { ...now, root: flipped(now.root, bit % 256) }, proof));
      t.false(merkle.isConsistent(old, now, [...proof, old.root]));
      if (proof.length === 0) return;
      const at = bit % proof.length;
      t.false(
        merkle.isConsistent(
          old,
          now,
          proof.map((one, i) => (i === at ? flipped(one, bit % 256) : one)),
        ),
      );
      t.false(merkle.isConsistent(old, now, proof.slice(1)));
    }),
    { numRuns: cases(150, 50) },
  );
});

test('leaves, bundles and tile paths have one spelling, and give back what went in', (t) => {
  const [entry = new Uint8Array()] = entriesOf(1);
  t.is(entry.byteLength, LEAF_BYTES);
  t.like(decodeLeaf(entry), { shard: 0, index: 0, seq: 1, at: 1_000 });
  t.is(decodeLeaf(entry.subarray(1)), undefined);
  t.is(decodeLeaf(flipped(entry, 0)), undefined);
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 40 }), (entries) => {
      const bundle = encodeBundle(entries);
      t.deepEqual(
        decodeBundle(bundle, entries.length)?.map((e) => [...e]),
        entries.map((e) => [...e]),
      );
      t.is(decodeBundle(bundle, entries.length + 1), undefined);
      if (bundle.byteLength > 0) t.is(decodeBundle(bundle.subarray(1), entries.length), undefined);
    }),
  );
  t.is(tilePath({ level: 0, n: 1_234_067, width: 256 }), 'tile/0/x001/x234/067');
  t.deepEqual(parseTilePath('tile/entries/x001/000.p/7'), { level: 'entries', n: 1_000, width: 7 });
  for (const path of [
    'tile/0/67',
    'tile/0/x000/067',
    'tile/00/067',
    'tile/0/067.p/0',
    'tile/0/067.p/256',
    'tile/0/067.p/01',
    'tile/7/000',
    'tile/0/../067',
    '/tile/0/067',
    'tile/-1/000',
  ]) {
    t.is(parseTilePath(path), undefined, path);
  }
});

test('a note counts for the keys that signed it, and one false signature spoils it', (t) => {
  const log = signer('example.com/realm');
  const guard = signer('guardian.example', COSIGNATURE_V1);
  const text = formatCheckpoint({
    origin: 'example.com/realm',
    size: 7,
    root: sha256(utf8('root')),
    extensions: [],
  });
  const signatures = [signText(log.key, text, log.sign), cosign(guard.key, text, 1_700_000_000, guard.sign)];
  const bytes = formatNote({ text, signatures });
  const note = parseNote(bytes);
  if (note === undefined) throw new Error('no note');
  t.deepEqual(parseCheckpoint(note.text)?.size, 7);
  const keys = [log.key, guard.key];
  const verdict = verifyNote(nodePrimitives, note, keys);
  t.true(verdict.ok && verdict.verified.length === 2 && verdict.verified[1]?.timestamp === 1_700_000_000);
  t.deepEqual(verifyNote(nodePrimitives, note, [signer('example.com/realm').key]), {
    ok: true,
    verified: [],
  });
  let refused = 0;
  for (let bit = 0; bit < bytes.byteLength * 8; bit += 1) {
    const changed = parseNote(flipped(bytes, bit));
    const again = changed === undefined ? undefined : verifyNote(nodePrimitives, changed, keys);
    if (again?.ok !== true || again.verified.length < 2) refused += 1;
  }
  t.is(refused, bytes.byteLength * 8, 'no bit of a note can be changed');
  for (const key of keys) {
    t.deepEqual(parseVerifierKey(sha256, formatVerifierKey(key)), key);
    t.is(parseVerifierKey(sha256, formatVerifierKey(key).replace('+', '+0')), undefined);
  }
  for (const text of [
    '',
    'x',
    'a\n\n',
    'a\n\n— b\n',
    'a\n\n— b c d\n',
    'a\u0001\n\n— b AAAAAAAA\n',
    '\n\n— b !\n',
  ])
    t.is(parseNote(utf8(text)), undefined, JSON.stringify(text));
  for (const body of ['o\n01\nAAAA\n', 'o\n1\nAAAA\n', 'o\n-1\n\n', '\n1\n', 'o\n1'])
    t.is(parseCheckpoint(body), undefined, JSON.stringify(body));
});

test('base64 has one spelling', (t) => {
  t.deepEqual([...(fromBase64('AAE=') ?? [])], [0, 1]);
  for (const text of ['AAE', 'AAF=', 'A===', 'AA E', '-_==', 'AAE=\n'])
    t.is(fromBase64(text), undefined, text);
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) =>
      t.deepEqual([...(fromBase64(toBase64(bytes)) ?? [])], [...bytes]),
    ),
  );
});

test('a proof file carries its place, its hashes and its checkpoint', async (t) => {
  const entries = entriesOf(70);
  const read = readerOf(entries);
  const checkpoint = utf8('o\n70\nx\n\n— o AAAAAAAA\n');
  const proof = {
    index: 69,
    hashes: (await merkle.inclusionProof(69, 70, read)).map((one) => new Uint8Array(one)),
    checkpoint,
  };
  const text = formatTlogProof(proof);
  t.true(text.startsWith('c2sp.org/tlog-proof@v1\nindex 69\n'));
  t.deepEqual(parseTlogProof(text), proof);
  const withExtra = { ...proof, extra: utf8('note') };
  t.deepEqual(parseTlogProof(formatTlogProof(withExtra)), withExtra);
  for (const bad of [
    text.slice(1),
    text.replace('index 69', 'index 069'),
    text.replace('index', 'extra !\nindex'),
  ])
    t.is(parseTlogProof(bad), undefined);
});

test('a policy says whose cosignatures a checkpoint needs', (t) => {
  const log = signer('example.com/realm');
  const guards = ['a', 'b', 'c', 'd'].map((name) => signer(`${name}.example`, COSIGNATURE_V1));
  const lines = [
    '# who must have seen it',
    `log ${formatVerifierKey(log.key)} https://example.com/realm`,
    ...guards.map(({ key }, n) => `witness w${n} ${formatVerifierKey(key)}`),
    'group first 2 w0 w1 w2',
    'group both all first w3',
    'quorum both',
  ];
  const policy = parsePolicy(sha256, `${lines.join('\n')}\n`);
  if (!isPolicy(policy)) throw new Error(policy.problem);
  const text = formatCheckpoint({
    origin: 'example.com/realm',
    size: 1,
    root: sha256(utf8('r')),
    extensions: [],
  });
  const judged = (who: readonly number[], signs = true): boolean => {
    const cosigned = who.flatMap((n) => {
      const guard = guards[n];
      return guard === undefined ? [] : [cosign(guard.key, text, 1, guard.sign)];
    });
    const own = signs ? [signText(log.key, text, log.sign)] : [];
    return judge(nodePrimitives, policy, { text, signatures: [...own, ...cosigned] }).ok;
  };
  t.true(judged([0, 1, 3]));
  t.true(judged([0, 1, 2, 3]));
  t.false(judged([0, 3]));
  t.false(judged([0, 1, 2]));
  t.false(judged([0, 1, 3], false), 'cosignatures without the log count nothing');
  t.false(judged([0, 0, 3]), 'a witness counts once');
  for (const [line, wrong] of [
    ['quorum nobody', /not defined above/],
    ['group x 3 w0 w1', /from 1 to 2/],
    ['group y any w9', /not defined above/],
    ['witness w0 x', /defined twice/],
    ['log x', /no vkey/],
    ['foo', /expected log/],
  ] as const) {
    const bad = parsePolicy(sha256, `${lines.slice(0, 6).join('\n')}\n${line}\n`);
    t.false(isPolicy(bad));
    if (!isPolicy(bad)) {
      t.is(bad.line, 7);
      t.regex(bad.problem, wrong);
    }
  }
});
