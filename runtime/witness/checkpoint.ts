/** Checkpoints (C2SP tlog-checkpoint): the head of a tree as the text of a signed note. */
import { fromBase64, parseDecimal, toBase64 } from './bytes.ts';
import { HASH_BYTES } from './hash.ts';
import type { TreeHead } from './merkle.ts';

export interface Checkpoint extends TreeHead {
  /** Names the log; also the name of its key. */
  readonly origin: string;
  readonly extensions: readonly string[];
}

/** The text of the note, with its final newline. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  return [origin, String(size), toBase64(root), ...extensions].map((line) => `${line}\n`).join('');
}

/** Undefined where the text of a note is no checkpoint. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  if (!text.endsWith('\n')) return undefined;
  const [origin, sizeText, rootText, ...extensions] = text.slice(0, -1).split('\n');
  if (!origin || sizeText === undefined || rootText === undefined) return undefined;
  const size = parseDecimal(sizeText);
  const root = fromBase64(rootText);
  if (size === undefined || root?.byteLength !== HASH_BYTES || extensions.includes('')) return undefined;
  return { origin, size, root, extensions };
}
