/** A log of a real realm with the tree, tiles and checkpoint over it, in memory, to be tampered with. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { Subjects } from '#runtime/bus/subjects';
import { concat, equal } from '#runtime/witness/bytes';
import { formatCheckpoint } from '#runtime/witness/checkpoint';
import { readCommitHead } from '#runtime/witness/commit-head';
import type { Primitives } from '#runtime/witness/hash';
import { encodeLeaf, type Leaf } from '#runtime/witness/leaf';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import { merkle, nodePrimitives } from '#runtime/witness/node-crypto';
import { formatNote, signText, type VerifierKey, verifierKey } from '#runtime/witness/note';
import { encodeBundle, TILE_WIDTH, tilePath, tileRoot, tilesOf } from '#runtime/witness/tiles';
import { type Report, type VerifyOptions, verifyLog } from '#runtime/witness/verify/verify';
import { TestRealm } from '../rig/realm.ts';

const { sha256 } = nodePrimitives;
/** Hashes of messages that nobody changes: cases by the thousand differ in one of them. */
const known = new WeakMap<Uint8Array, Uint8Array>();
/** The last note that was found to be signed. */
let signedLast: readonly Uint8Array[] = [];
/** Node's own, that do not do the same work twice; what a case changed is other bytes and is looked at in full. */
const primitives: Primitives = {
  sha256: (bytes) => known.get(bytes) ?? sha256(bytes),
  verifyEd25519(...given) {
    if (signedLast.length > 0 && given.every((bytes, n) => equal(bytes, signedLast[n] ?? EMPTY))) return true;
    const isSigned = nodePrimitives.verifyEd25519(...given);
    if (isSigned) signedLast = given.map((bytes) => new Uint8Array(bytes));
    return isSigned;
  },
};
const EMPTY = new Uint8Array();
const ORIGIN = 'example.com/realm';

export interface Signer {
  readonly key: VerifierKey;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export function newSigner(name = ORIGIN): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32));
  return {
    key: verifierKey(sha256, name, raw),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}

/** What a verifier is given. */
export interface Case {
  readonly messages: readonly LogMessage[];
  readonly tiles: ReadonlyMap<string, Uint8Array>;
  readonly checkpoint: Uint8Array;
}

/** The commits of a realm of two shards after some asks, the node killed and started again before the nth. */
export async function realLog(asks: number, killedBefore = Math.floor(asks / 2)): Promise<LogMessage[]> {
  const config = {
    shards: 2,
    witness: { enabled: false },
    kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } },
  };
  await using realm = await TestRealm.start({ config });
  let client = await realm.client();
  for (let n = 0; n < asks; n += 1) {
    if (n === killedBefore) {
      await realm.kill();
      await realm.up();
      client = await realm.client();
    }
    await client.ask(`counter/k${n % 3}`, { type: 'inc' });
  }
  const reader = await natsLogReader(client.connection, new Subjects('if', 2));
  const { first, last } = await reader.range();
  const messages: LogMessage[] = [];
  for await (const batch of reader.read(first, last)) {
    for (const message of batch) messages.push({ ...message, bytes: new Uint8Array(message.bytes) });
  }
  return messages;
}

/** Tree, tiles and checkpoint over messages; `leafOf` makes the leaves of a signer that lies. */
export function evidenceOver(
  messages: readonly LogMessage[],
  signer: Signer,
  leafOf: (leaf: Leaf) => Leaf = (leaf) => leaf,
): Case {
  const entries = messages.map(({ seq, bytes }) => {
    const head = readCommitHead(bytes);
    if (head === undefined) throw new Error(`message ${seq} is no commit`);
    const hash = sha256(bytes);
    known.set(bytes, hash);
    return encodeLeaf(leafOf({ ...head, seq, hash }));
  });
  return { messages, ...treeOver(entries, signer) };
}

export interface Tree {
  readonly size: number;
  readonly tiles: ReadonlyMap<string, Uint8Array>;
  readonly checkpoint: Uint8Array;
}

/** Tiles and a signed checkpoint over entries. */
export function treeOver(entries: readonly Uint8Array[], signer: Signer): Tree {
  const rows = [entries.map((entry) => merkle.leafHash(entry))];
  for (let row = rows[0] ?? []; row.length >= TILE_WIDTH; ) {
    const below = row;
    row = Array.from({ length: Math.floor(below.length / TILE_WIDTH) }, (_, n) =>
      tileRoot(merkle, below.slice(n * TILE_WIDTH, (n + 1) * TILE_WIDTH)),
    );
    rows.push(row);
  }
  const tiles = new Map<string, Uint8Array>();
  for (const tile of tilesOf(entries.length)) {
    const [from, to] = [tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width];
    const bytes =
      tile.level === 'entries'
        ? encodeBundle(entries.slice(from, to))
        : concat(...(rows[tile.level] ?? []).slice(from, to));
    tiles.set(tilePath(tile), bytes);
  }
  const root = rootOf(rows[0] ?? []);
  return { size: entries.length, tiles, checkpoint: signedCheckpoint(entries.length, root, signer) };
}

/** What a signer may claim, whatever it has. */
export function signedCheckpoint(size: number, root: Uint8Array, signer: Signer): Uint8Array {
  const text = formatCheckpoint({ origin: ORIGIN, size, root, extensions: [] });
  return formatNote({ text, signatures: [signText(signer.key, text, signer.sign)] });
}

export function logOf(messages: readonly LogMessage[]): Pick<LogReader, 'range' | 'read'> {
  return {
    range: async () => ({ first: 1, last: messages.at(-1)?.seq ?? 0 }),
    async *read(from, through) {
      yield messages.filter(({ seq }) => seq >= from && seq <= through);
    },
  };
}

export function verifyCase(
  { messages, tiles, checkpoint }: Case,
  { key }: Signer,
  options: Partial<VerifyOptions> = {},
): Promise<Report> {
  return verifyLog({
    primitives,
    log: logOf(messages),
    evidence: { checkpoint, trust: { key }, tile: async (tile) => tiles.get(tilePath(tile)) },
    ...options,
  });
}

export function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

function rootOf(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length <= 1) return hashes[0] ?? merkle.emptyRoot();
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return merkle.nodeHash(rootOf(hashes.slice(0, k)), rootOf(hashes.slice(k)));
}
