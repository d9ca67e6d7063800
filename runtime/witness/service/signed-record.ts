/**
 * What the holder of the realm's key remembers itself of what it signed: `keys/realm.signed`, beside the key. The server
 * can lose what it stores, and be put back to an older state; what was signed is in the world all the same.
 *
 * R1  It is on disk before a signature is made (builder.ts, W6), and never goes back to a smaller tree.
 * R2  It is by origin: a rotated key goes on with the same log, another origin begins another.
 * R3  A file that cannot be read or written stops the signing: one begun anew would forget.
 */
import { readFile } from 'node:fs/promises';
import { storePrivateFile } from '#runtime/bus/file';
import { FabricError } from '#schemas/fabric-error';
import { fromBase64, toBase64 } from '../bytes.ts';
import { parseCheckpoint } from '../checkpoint.ts';
import type { TreeHead } from '../merkle.ts';
import { nodePrimitives } from '../node-crypto.ts';
import { parseNote, parseVerifierKey, verifyNote } from '../note.ts';
import { witnessServiceErrors } from './errors.ts';
import { formatLogTrees, type LogTree, parseLogTrees } from './log-trees.ts';

export interface SignedRecord {
  /** The largest tree that was signed for this origin; undefined where none was. Throws `witness_record_bad`. */
  last(origin: string): Promise<TreeHead | undefined>;
  /** On disk when it resolves; a tree no larger than the last changes nothing (R1). Throws `witness_record_bad`. */
  keep(origin: string, head: TreeHead): Promise<void>;
}

export function signedRecordFile(file: string): SignedRecord {
  const read = async (): Promise<Map<string, LogTree>> => {
    try {
      return parseLogTrees(await readFile(file, 'utf8'));
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return new Map();
      throw bad(file, 'read', cause);
    }
  };
  return {
    async last(origin) {
      const tree = (await read()).get(origin);
      if (tree === undefined) return undefined;
      const root = fromBase64(tree.root);
      if (root === undefined) throw bad(file, 'read');
      return { size: tree.size, root };
    },
    async keep(origin, { size, root }) {
      const trees = await read();
      if (size <= (trees.get(origin)?.size ?? 0)) return;
      trees.set(origin, { size, root: toBase64(root) });
      try {
        await storePrivateFile(file, formatLogTrees(trees));
      } catch (cause) {
        throw bad(file, 'written', cause);
      }
    },
  };
}

/**
 * Remembers a checkpoint that another holder of the key published: whoever holds the key may be the next that signs. What
 * the key did not sign changes nothing. Throws `witness_record_bad`.
 */
export async function rememberPublished(
  note: string,
  { origin, key, record }: { readonly origin: string; readonly key: string; readonly record: SignedRecord },
): Promise<void> {
  const parsed = parseNote(Buffer.from(note));
  const known = parseVerifierKey(nodePrimitives.sha256, key);
  if (parsed === undefined || known === undefined) return;
  const verdict = verifyNote(nodePrimitives, parsed, [known]);
  if (!verdict.ok || verdict.verified.length === 0) return;
  const checkpoint = parseCheckpoint(parsed.text);
  if (checkpoint?.origin === origin) await record.keep(origin, checkpoint);
}

function bad(file: string, what: 'read' | 'written', cause?: unknown): FabricError {
  return new FabricError(witnessServiceErrors.witness_record_bad, `${file} cannot be ${what}`, {
    details: { file },
    ...(cause !== undefined && { cause }),
  });
}
