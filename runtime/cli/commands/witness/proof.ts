/** `witness proof`: that a commit is in the log, as a C2SP tlog-proof that is checked without the realm. */
import { Command, InvalidArgumentError } from 'commander';
import { parseCheckpoint } from '#runtime/witness/checkpoint';
import { readCommitHead } from '#runtime/witness/commit-head';
import { decodeLeaf } from '#runtime/witness/leaf';
import type { LogReader } from '#runtime/witness/log-reader';
import { merkle } from '#runtime/witness/node-crypto';
import { parseNote } from '#runtime/witness/note';
import { witnessServiceErrors } from '#runtime/witness/service/errors';
import { decodeBundle, TILE_WIDTH, tilePath, tileReader, tileWidth } from '#runtime/witness/tiles';
import { formatTlogProof } from '#runtime/witness/tlog-proof';
import { FabricError } from '#schemas/fabric-error';
import { handle, type Shell } from '../../command.ts';
import { EXIT } from '../../exit-codes.ts';
import { type Realm, withRealm } from '../../realm.ts';
import { plural } from '../../render/format.ts';
import { witnessRead } from './status.ts';

/** Commits read at once in the search for one. */
const SEARCH_BATCH = 256;

/** A commit by its place in its shard, or by its sequence in the log. */
type Place = { readonly shard: number; readonly index: number } | { readonly seq: number };

export function witnessProofCommand(shell: Shell): Command {
  const command = new Command('proof')
    .description(
      'prove that a commit is in the log: a C2SP tlog-proof, with the leaf entry as its extra data',
    )
    .argument('<commit>', 'shard and index, `0/12`, or its sequence in the log', place)
    .option('--cosigned', 'against the cosigned checkpoint');
  return handle<[Place], { readonly cosigned?: boolean }>(shell, command, ({ io, out, options }, wanted) =>
    withRealm(options, io, async (realm) => {
      const name = options.cosigned === true ? 'checkpoint.cosigned' : 'checkpoint';
      const checkpoint = await witnessRead(realm, name);
      const size = parseCheckpoint(parseNote(checkpoint)?.text ?? '')?.size ?? 0;
      const seq = 'seq' in wanted ? wanted.seq : await find(await realm.openLog(), size, wanted);
      if (seq === undefined && 'shard' in wanted) await refuseNoShard(realm, wanted.shard);
      if (seq === undefined || seq < 1 || seq > size) throw noLeaf(size);
      const { hashes, entry } = await prove(realm, seq - 1, size);
      const text = formatTlogProof({ index: seq - 1, hashes, checkpoint, extra: entry });
      const leaf = decodeLeaf(entry);
      out.data({ seq, shard: leaf?.shard, index: leaf?.index, size, proof: text });
      out.lines([text.replace(/\n$/, '')]);
      return EXIT.ok;
    }),
  );
}

async function prove(
  realm: Realm,
  index: number,
  size: number,
): Promise<{ hashes: Uint8Array[]; entry: Uint8Array }> {
  const read = tileReader(merkle, size, (tile) => witnessRead(realm, tilePath(tile)));
  const hashes = await merkle.inclusionProof(index, size, read);
  const n = Math.floor(index / TILE_WIDTH);
  const width = tileWidth(size, 'entries', n);
  const bundle = await witnessRead(realm, tilePath({ level: 'entries', n, width }));
  const entry = decodeBundle(bundle, width)?.[index % TILE_WIDTH];
  if (entry === undefined) throw noLeaf(size);
  return { hashes, entry };
}

/** Sequence of a commit among the first `size`, by halving: the indices of a shard grow with the sequence. */
async function find(
  reader: LogReader,
  size: number,
  { shard, index }: { readonly shard: number; readonly index: number },
): Promise<number | undefined> {
  let from = (await reader.range()).first;
  let to = size;
  while (from <= to) {
    const middle = Math.floor((from + to) / 2);
    const next = await nextOf(reader, shard, middle, to);
    if (next === undefined || next.index > index) to = middle - 1;
    else if (next.index === index) return next.seq;
    else from = next.seq + 1;
  }
  return undefined;
}

/** The first commit of a shard from `from` through `to`. */
async function nextOf(
  reader: LogReader,
  shard: number,
  from: number,
  to: number,
): Promise<{ seq: number; index: number } | undefined> {
  for (let start = from; start <= to; start += SEARCH_BATCH) {
    for await (const batch of reader.read(start, Math.min(to, start + SEARCH_BATCH - 1))) {
      const found = batch.find(
        (message) => message.shard === shard && readCommitHead(message.bytes) !== undefined,
      );
      const head = found && readCommitHead(found.bytes);
      if (found !== undefined && head !== undefined) return { seq: found.seq, index: head.index };
    }
  }
  return undefined;
}

/** Throws `no_such_shard`: no later checkpoint takes in what no shard writes. A shard that was there once has its commits. */
async function refuseNoShard(realm: Realm, shard: number): Promise<void> {
  const shards = await realm.shardCount();
  if (shard < shards) return;
  const message = `The realm has ${plural(shards, 'shard')}, counted from 0: there is no shard ${shard}`;
  throw new FabricError(witnessServiceErrors.no_such_shard, message, { details: { shard, shards } });
}

function noLeaf(size: number): FabricError {
  return new FabricError(
    witnessServiceErrors.witness_no_leaf,
    `The signed tree of ${size} commits has no such one`,
  );
}

function place(text: string): Place {
  const [first = '', second] = text.split('/');
  if (!/^\d{1,15}(?:\/\d{1,15})?$/.test(text)) {
    throw new InvalidArgumentError('Expected shard and index such as 0/12, or a sequence such as 345.');
  }
  return second === undefined ? { seq: Number(first) } : { shard: Number(first), index: Number(second) };
}
