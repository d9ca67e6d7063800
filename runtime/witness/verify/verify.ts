/** The whole verification: the checkpoint is judged, its tree opened, and the log read against it. Runs in browsers too. */
import { toHex } from '../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../checkpoint.ts';
import type { Primitives } from '../hash.ts';
import type { LogReader } from '../log-reader.ts';
import { merkleOver } from '../merkle.ts';
import { type Note, parseNote, type VerifierKey, verifyNote } from '../note.ts';
import { judge, type Policy } from '../policy.ts';
import type { Break } from './break.ts';
import type { ChainHead } from './chain.ts';
import { type FindTile, SignedTree } from './signed-tree.ts';
import { LogVerifier } from './verifier.ts';

const SIGNERS_SHOWN = 4;

/** Who has to have signed: a policy, or one log's key. */
export type Trust = { readonly policy: Policy } | { readonly key: VerifierKey };

export interface Evidence {
  /** The signed note. */
  readonly checkpoint: Uint8Array;
  readonly trust: Trust;
  readonly tile: FindTile;
}

export interface VerifyOptions {
  readonly primitives: Primitives;
  readonly log: Pick<LogReader, 'range' | 'read'>;
  /** Absent: only the chain is checked. */
  readonly evidence?: Evidence;
  /**
   * First and last sequence; all of the log where absent. That begins with sequence 1, wherever the stream begins: what
   * was archived comes from the archive, and anything else that is missing is a break.
   */
  readonly from?: number;
  readonly through?: number;
  /**
   * What has to be covered by the checkpoint, of what is read: through this sequence. Behind it the chain alone speaks,
   * and that anyone can write. Absent: nothing has to be.
   */
  readonly signedThrough?: number;
  /** Last commits before `from`, where they are known. */
  readonly heads?: ReadonlyMap<number, ChainHead>;
  readonly signal?: AbortSignal;
  /** Called as messages are read. */
  readonly progress?: (commits: number, bytes: number) => void;
}

export interface SignedBy {
  readonly origin: string;
  /** Commits that the checkpoint covers. */
  readonly size: number;
  readonly root: Uint8Array;
  readonly log: string;
  readonly cosigners: readonly string[];
}

export interface Report {
  readonly ok: boolean;
  readonly from: number;
  readonly through: number;
  /** Where the log ends, as it is stored or as it was signed, whichever is further; 0 for an empty one. */
  readonly last: number;
  readonly commits: number;
  readonly bytes: number;
  /** Commits compared with what was signed. */
  readonly signed: number;
  /** The checkpoint that counts; absent where there was none, or it was refused. */
  readonly checkpoint?: SignedBy;
  /** The last commit of each shard in the range. */
  readonly heads: ReadonlyMap<number, ChainHead>;
  readonly breaks: readonly Break[];
  /** Of which `breaks` are the first. */
  readonly breakCount: number;
}

/** Throws what reading throws. */
export async function verifyLog(options: VerifyOptions): Promise<Report> {
  const { primitives, log, evidence, signal } = options;
  const range = await log.range();
  const from = options.from ?? 1;
  const breaks: Break[] = [];
  const judged = evidence === undefined ? undefined : judgeCheckpoint(primitives, evidence);
  if (typeof judged === 'string') breaks.push({ kind: 'checkpoint', what: judged });
  const checkpoint = typeof judged === 'string' ? undefined : judged;
  const tree =
    checkpoint === undefined || evidence === undefined
      ? undefined
      : await SignedTree.open(merkleOver(primitives.sha256), checkpoint, evidence.tile);
  const last = Math.max(range.last, checkpoint?.size ?? 0);
  const through = Math.min(options.through ?? last, last);
  const verifier = new LogVerifier({
    sha256: primitives.sha256,
    tree,
    from,
    ...(options.heads !== undefined && { heads: options.heads }),
  });
  let commits = 0;
  let bytes = 0;
  for await (const batch of log.read(from, through, signal)) {
    await verifier.take(batch);
    commits += batch.length;
    for (const message of batch) bytes += message.bytes.byteLength;
    options.progress?.(commits, bytes);
    signal?.throwIfAborted();
  }
  const found = await verifier.end(through, through >= last);
  if (checkpoint !== undefined) {
    const unsigned = unsignedIn({ from, through: Math.min(options.signedThrough ?? 0, through) }, checkpoint);
    if (unsigned !== undefined) breaks.push(unsigned);
  }
  return {
    ok: breaks.length + found.breakCount === 0,
    from,
    through,
    last,
    commits: found.commits,
    bytes: found.bytes,
    signed: found.signed,
    ...(checkpoint !== undefined && { checkpoint }),
    heads: found.heads,
    breaks: [...breaks, ...found.breaks],
    breakCount: breaks.length + found.breakCount,
  };
}

/** What of a range no checkpoint covers, as one break. */
function unsignedIn(
  { from, through }: { readonly from: number; readonly through: number },
  { size }: SignedBy,
): Break | undefined {
  const seq = Math.max(from, size + 1);
  if (seq > through) return undefined;
  const count = through - seq + 1;
  const them = count === 1 ? 'it' : `the ${count} commits from here on`;
  return { kind: 'unsigned', seq, what: `no signature covers ${them}: the checkpoint is of ${size} commits` };
}

/** The checkpoint that a note carries and who signed it, or why it does not count. */
export function judgeCheckpoint(
  primitives: Primitives,
  { checkpoint: bytes, trust }: Pick<Evidence, 'checkpoint' | 'trust'>,
): SignedBy | string {
  if (bytes.byteLength === 0) return 'there is no checkpoint, so nothing is signed';
  const note = parseNote(bytes);
  if (note === undefined) return 'the checkpoint is no signed note';
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint === undefined) return 'the signed note is no checkpoint';
  if ('policy' in trust) {
    const verdict = judge(primitives, trust.policy, note);
    if (!verdict.ok) return `the checkpoint does not meet the policy: ${verdict.reason}`;
    return signedBy(checkpoint, verdict.log.name, verdict.cosigners);
  }
  const { key } = trust;
  const verdict = verifyNote(primitives, note, [key]);
  if (!verdict.ok) return `the signature of ${verdict.forged.name} on the checkpoint is false`;
  if (verdict.verified.length === 0)
    return `the checkpoint is not signed by ${keyId(key.name, key.id)}, but by ${signersOf(note)}`;
  if (checkpoint.origin !== key.name) return `the checkpoint is of ${checkpoint.origin}, not of ${key.name}`;
  return signedBy(checkpoint, key.name, []);
}

/** As the note itself names them: nobody here has their keys. */
function signersOf({ signatures }: Note): string {
  const names = signatures.slice(0, SIGNERS_SHOWN).map(({ name, keyId: id }) => keyId(name, id));
  const more = signatures.length - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** How a verifier key begins: enough to tell keys of one name apart. */
function keyId(name: string, id: Uint8Array): string {
  return `${name}+${toHex(id)}`;
}

function signedBy({ origin, size, root }: Checkpoint, log: string, cosigners: readonly string[]): SignedBy {
  return { origin, size, root, log, cosigners };
}
