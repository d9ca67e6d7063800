/** Proofs that one file carries (C2SP tlog-proof): a leaf's place, its inclusion proof, and the checkpoint it leads to. */
import { fromBase64, parseDecimal, textOf, toBase64, utf8 } from './bytes.ts';
import { HASH_BYTES } from './hash.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';
/** Hashes of a proof in the largest tree. */
const HASHES_MAX = 64;
const PROOF_BYTES_MAX = 256 * 1024;

export interface TlogProof {
  /** Of the leaf, from 0. */
  readonly index: number;
  /** From the leaf's sibling up. */
  readonly hashes: readonly Uint8Array[];
  /** The signed note, verbatim. */
  readonly checkpoint: Uint8Array;
  /** Vouched for by nobody. */
  readonly extra?: Uint8Array;
}

export function formatTlogProof({ index, hashes, checkpoint, extra }: TlogProof): string {
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${toBase64(extra)}`]),
    `index ${index}`,
    ...hashes.map(toBase64),
    '',
  ];
  return `${lines.join('\n')}\n${textOf(checkpoint) ?? ''}`;
}

/** Undefined for what is no proof. */
export function parseTlogProof(text: string): TlogProof | undefined {
  if (text.length > PROOF_BYTES_MAX) return undefined;
  const end = text.indexOf('\n\n');
  if (end < 0) return undefined;
  const [header, ...lines] = text.slice(0, end).split('\n');
  if (header !== HEADER) return undefined;
  const extraLine = lines[0]?.startsWith('extra ') === true ? lines.shift() : undefined;
  const extra = extraLine === undefined ? undefined : fromBase64(extraLine.slice('extra '.length));
  if (extraLine !== undefined && extra === undefined) return undefined;
  const indexLine = lines.shift();
  if (indexLine?.startsWith('index ') !== true || lines.length > HASHES_MAX) return undefined;
  const index = parseDecimal(indexLine.slice('index '.length));
  const hashes = lines.map(fromBase64);
  if (index === undefined || !hashes.every((hash) => hash?.byteLength === HASH_BYTES)) return undefined;
  return {
    index,
    hashes: hashes as Uint8Array[],
    checkpoint: utf8(text.slice(end + 2)),
    ...(extra !== undefined && { extra }),
  };
}
