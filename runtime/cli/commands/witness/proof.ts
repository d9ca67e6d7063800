/** `witness proof`: that a commit is in the log, as a C2SP tlog-proof that is checked without the realm. */
import { Command, InvalidArgumentError } from 'commander';
import type { LogReader } from '#runtime/witness/log-reader';
import { commitHead } from '#runtime/witness/service/commit-head';
import {
  decodeLeaf,
  inclusionProof,
  parseCheckpoint,
  parseNote,
  splitBundle,
  tilePath,
} from '#runtime/witness/service/core';
import { witnessServiceErrors } from '#runtime/witness/service/errors';
import { TILE_WIDTH } from '#runtime/witness/service/right-edge';
import { subtreesOf } from '#runtime/witness/service/subtrees';
import { FabricError } from '#schemas/fabric-error';
import { handle, type Shell } from '../../command.ts';
import { EXIT } from '../../exit-codes.ts';
import { type Realm, withRealm } from '../../realm.ts';
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
      const note = Buffer.from(await witnessRead(realm, name)).toString();
      const size = parseCheckpoint(parseNote(note)?.text ?? '')?.size ?? 0;
      const seq = 'seq' in wanted ? wanted.seq : await find(await realm.openLog(), size, wanted);
      if (seq === undefined || seq < 1 || seq > size) throw noLeaf(size);
      const { proof, entry } = await prove(realm, seq - 1, size);
      const lines = proof.map((hash) => Buffer.from(hash).toString('base64'));
      const extra = Buffer.from(entry).toString('base64');
      const text = ['c2sp.org/tlog-proof@v1', `extra ${extra}`, `index ${seq - 1}`, ...lines, '', note].join(
        '\n',
      );
      const leaf = decodeLeaf(entry);
      out.data({ seq, shard: leaf?.shard, index: leaf?.index, size, proof: text });
      out.lines([text.replace(/\n$/, '')]);
      return EXIT.ok;
    }),
  );
}

async function prove(
  realm: Realm,
  leaf: number,
  size: number,
): Promise<{ proof: Uint8Array[]; entry: Uint8Array }> {
  const read = subtreesOf((level, n, width) => witnessRead(realm, tilePath(level, n, width)));
  const proof = await inclusionProof(leaf, 0, size, read);
  const n = Math.floor(leaf / TILE_WIDTH);
  const offset = leaf % TILE_WIDTH;
  const bundle = await witnessRead(
    realm,
    tilePath('entries', n, Math.min(TILE_WIDTH, size - n * TILE_WIDTH)),
  );
  const entry = splitBundle(bundle)?.[offset];
  if (entry === undefined) throw noLeaf(size);
  return { proof, entry };
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
      const found = batch.find((message) => message.shard === shard);
      if (found !== undefined) return { seq: found.seq, index: commitHead(found.bytes).index };
    }
  }
  return undefined;
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
