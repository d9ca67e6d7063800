/**
 * The witness: verification of a log in a real stream, the tree over it, and its proofs. Limits, in the same run: reading
 * the same stream and hashing each message once; SHA-256 of as many leaves and nodes as the tree has.
 */
import { jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { encodeCommit } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { Subjects } from '#runtime/bus/subjects';
import { readCommitHead } from '#runtime/witness/commit-head';
import { encodeLeaf } from '#runtime/witness/leaf';
import { merkle, nodePrimitives } from '#runtime/witness/node-crypto';
import { TILE_WIDTH, tilePath, tileReader } from '#runtime/witness/tiles';
import { type VerifyOptions, verifyLog } from '#runtime/witness/verify/verify';
import { newSigner, type Tree, treeOver } from '../witness/evidence.ts';
import { benchServer } from './rig.ts';
import { median, rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const { sha256 } = nodePrimitives;
const SHARDS = 4;
const IN_FLIGHT = 512;
const COMMITS: readonly (readonly [entries: number, commits: number])[] = [
  [1, 200_000],
  [32, 30_000],
];
const LEAVES = 500_000;
const PROOFS = 5_000;
const LEAF_INPUT_BYTES = 65;

const verified = (entries: number, with_: string): string => `verify: ${with_}, ${entries} entries a commit`;
const CHAIN = 'chain';
const TREE = 'chain and tree';
const BUILD = 'tree: build';
const MADE = 'proof: make';
const CHECKED = 'proof: check';

export const verify: Suite = {
  benches: [...COMMITS.flatMap(([n]) => [verified(n, CHAIN), verified(n, TREE)]), BUILD, MADE, CHECKED],
  async *run(wanted, { scale, rounds }) {
    for (const [entries, full] of COMMITS) {
      if (!wanted(verified(entries, CHAIN)) && !wanted(verified(entries, TREE))) continue;
      const commits = Math.max(2_000, Math.ceil(full * scale));
      await using server = await benchServer(false);
      const nc = await connect({ servers: server.url });
      try {
        const { leaves, bytes } = await fill(nc, commits, entries);
        const log = await natsLogReader(nc, new Subjects('if', SHARDS));
        const signer = newSigner();
        const { tiles, checkpoint } = treeOver(leaves, signer);
        const tile: NonNullable<VerifyOptions['evidence']>['tile'] = async (t) => tiles.get(tilePath(t));
        const evidence = { checkpoint, trust: { key: signer.key }, tile };
        const limit = async (): Promise<void> => {
          for await (const batch of log.read(1, commits)) for (const m of batch) sha256(m.bytes);
        };
        const check = async (options: Partial<VerifyOptions>): Promise<void> => {
          const { ok, commits: seen } = await verifyLog({ primitives: nodePrimitives, log, ...options });
          if (!ok || seen !== commits) throw new Error('The log does not verify');
        };
        // Compiled before it is measured.
        await limit();
        await check({ evidence });
        for (const [name, options] of [
          [CHAIN, {}],
          [TREE, { evidence }],
        ] as const) {
          if (!wanted(verified(entries, name))) continue;
          const pairs: { limitMs: number; ms: number }[] = [];
          for (let round = 0; round < rounds; round += 1) {
            pairs.push({ limitMs: await elapsed(limit), ms: await elapsed(() => check(options)) });
          }
          const perSec = (commits * 1000) / median(pairs.map(({ ms }) => ms));
          yield row(verified(entries, name), {
            opsPerSec: Math.round(perSec),
            limitOpsPerSec: Math.round((commits * 1000) / median(pairs.map(({ limitMs }) => limitMs))),
            ratio: rounded(median(pairs.map(({ limitMs, ms }) => limitMs / ms)), 3),
            commits,
            bytesPerCommit: Math.round(bytes / commits),
            mibPerSec: rounded((bytes / commits / 2 ** 20) * perSec, 1),
          });
        }
      } finally {
        await nc.close();
      }
    }
    if (![BUILD, MADE, CHECKED].some(wanted)) return;
    const leaves = Array.from({ length: Math.max(2 * TILE_WIDTH, Math.ceil(LEAVES * scale)) }, (_, n) =>
      encodeLeaf({ shard: 0, index: n, seq: n + 1, at: n, hash: new Uint8Array(32).fill(n) }),
    );
    const limits = hashLimit(leaves.length);
    let tree: Tree | undefined;
    const signer = newSigner();
    const buildMs = await elapsed(async () => {
      tree = treeOver(leaves, signer);
    });
    if (tree === undefined) return;
    const buildPerSec = (leaves.length * 1000) / buildMs;
    yield row(BUILD, {
      opsPerSec: Math.round(buildPerSec),
      // A leaf and, above it, one node.
      limitOpsPerSec: Math.round(limits / 2),
      ratio: rounded(buildPerSec / (limits / 2), 3),
      leaves: leaves.length,
    });
    yield* proofs(tree, leaves, limits);
  },
};

async function* proofs({ size, tiles }: Tree, leaves: readonly Uint8Array[], limit: number) {
  const read = tileReader(merkle, size, async (tile) => {
    const bytes = tiles.get(tilePath(tile));
    if (bytes === undefined) throw new Error(`no ${tilePath(tile)}`);
    return bytes;
  });
  const root = await merkle.root(size, read);
  const indexes = Array.from({ length: PROOFS }, (_, n) => (n * 7_919) % size);
  const made: Uint8Array[][] = [];
  const makeMs = await elapsed(async () => {
    for (const index of indexes) made.push(await merkle.inclusionProof(index, size, read));
  });
  const depth = median(made.map((proof) => proof.length));
  const makePerSec = (PROOFS * 1000) / makeMs;
  yield row(MADE, {
    opsPerSec: Math.round(makePerSec),
    limitOpsPerSec: Math.round(limit / depth),
    ratio: rounded(makePerSec / (limit / depth), 3),
    hashesPerProof: depth,
  });
  const checkMs = await elapsed(async () => {
    for (const [n, index] of indexes.entries()) {
      const hash = merkle.leafHash(leaves[index] ?? new Uint8Array());
      const found = merkle.rootOfInclusion(hash, index, size, made[n] ?? []);
      if (found === undefined || Buffer.compare(found, root) !== 0) throw new Error(`no proof of ${index}`);
    }
  });
  const checkPerSec = (PROOFS * 1000) / checkMs;
  yield row(CHECKED, {
    opsPerSec: Math.round(checkPerSec),
    limitOpsPerSec: Math.round(limit / (depth + 1)),
    ratio: rounded(checkPerSec / (limit / (depth + 1)), 3),
  });
}

/** Hashes of a node's size a second. */
function hashLimit(count: number): number {
  const input = new Uint8Array(LEAF_INPUT_BYTES);
  for (let n = 0; n < count; n += 1) sha256(input);
  const began = performance.now();
  for (let n = 0; n < count; n += 1) sha256(input);
  return (count * 1000) / (performance.now() - began);
}

/** Puts a chained log into the stream; gives the leaves of its tree. */
async function fill(nc: NatsConnection, commits: number, entries: number) {
  const subjects = new Subjects('if', SHARDS);
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({
    name: subjects.streams.log,
    subjects: [subjects.wildcards.log()],
    storage: StorageType.File,
  });
  const js = jetstream(nc);
  const heads = Array.from({ length: SHARDS }, () => ({ index: -1, hash: new Uint8Array(32) }));
  const leaves: Uint8Array[] = [];
  let bytes = 0;
  let waiting: Promise<unknown>[] = [];
  for (let seq = 1; seq <= commits; seq += 1) {
    const shard = seq % SHARDS;
    const before = heads[shard] ?? { index: -1, hash: new Uint8Array(32) };
    const stored = commitOf(shard, before.index + 1, before.hash, entries);
    const hash = sha256(stored);
    heads[shard] = { index: before.index + 1, hash: new Uint8Array(hash) };
    const head = readCommitHead(stored);
    if (head === undefined) throw new Error('no commit');
    leaves.push(encodeLeaf({ ...head, seq, hash }));
    bytes += stored.byteLength;
    waiting.push(js.publish(subjects.log(shard), stored));
    if (waiting.length < IN_FLIGHT) continue;
    await Promise.all(waiting);
    waiting = [];
  }
  await Promise.all(waiting);
  return { leaves, bytes };
}

function commitOf(shard: number, index: number, prev: Uint8Array, entries: number): Uint8Array {
  return encodeCommit({
    format: 1,
    shard,
    index,
    prev,
    at: Date.now(),
    epoch: 1,
    consumed: index,
    acted: index - 1,
    entries: Array.from({ length: entries }, (_, n) => ({
      cause: { kind: 'ask' as const, id: `${index}-${n}-0123456789abcdef`, from: 'bench' },
      actor: `counter/k${(index + n) % 1_000}`,
      machine: 'counter@1',
      event: { type: 'inc' },
      before: 'active',
      after: 'active',
      reply: { n: index },
    })),
    digest: prev,
  });
}

async function elapsed(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
