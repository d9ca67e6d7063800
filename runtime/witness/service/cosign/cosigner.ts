/**
 * A C2SP tlog-witness: cosigns the checkpoints of the logs it knows, each only where it follows, append-only, from the
 * one before.
 *
 * Q1  For each origin, all checkpoints that are ever cosigned are of one append-only log: a new one needs a consistency
 *     proof from the largest that was cosigned.
 * Q2  What is cosigned is on disk before the cosignature is made; between the check against the record and the new
 *     record nothing else is done (no await), and one process owns the folder.
 */
import { sign } from 'node:crypto';
import type { SigningKey } from '#runtime/edge/sign';
import { equal, fromBase64, parseDecimal, textOf, toBase64, utf8 } from '../../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../../checkpoint.ts';
import { cosign } from '../../cosignature.ts';
import { HASH_BYTES } from '../../hash.ts';
import { merkle, nodePrimitives } from '../../node-crypto.ts';
import {
  COSIGNATURE_V1,
  formatSignatureLine,
  formatVerifierKey,
  type Note,
  parseNote,
  type VerifierKey,
  verifierKey,
  verifyNote,
} from '../../note.ts';
import type { HttpReply } from '../http-listener.ts';
import type { StateFile } from './state-file.ts';

/** C2SP tlog-witness: no client sends more. */
const PROOF_LINES_MAX = 63;
/** A checkpoint with extension lines, many signatures and the longest proof. */
export const BODY_BYTES_MAX = 64 * 1024;
const SIZE_TYPE = 'text/x.tlog.size';
const NO_LEAVES = nodePrimitives.sha256(new Uint8Array());

export interface CosignerOptions {
  /** Name of this cosigner's key, best a URL without its scheme. */
  readonly name: string;
  readonly key: SigningKey;
  /** Keys of the logs it cosigns; a log's origin is the name of its key. */
  readonly logs: readonly VerifierKey[];
  readonly state: StateFile;
  /** ms since the epoch. */
  readonly now: () => number;
}

export class Cosigner {
  readonly #options: CosignerOptions;
  readonly #own: VerifierKey;

  constructor(options: CosignerOptions) {
    this.#options = options;
    this.#own = verifierKey(nodePrimitives.sha256, options.name, options.key.publicKey, COSIGNATURE_V1);
  }

  /** Its verifier key, as those who rely on it configure it. */
  get key(): string {
    return formatVerifierKey(this.#own);
  }

  /** Answers `add-checkpoint`. Throws what the file system says; nothing is cosigned then. */
  addCheckpoint(body: Uint8Array): HttpReply {
    const request = parseRequest(body);
    if (request === undefined) return { status: 400, body: 'The body is no add-checkpoint request\n' };
    const { oldSize, proof, note, checkpoint } = request;
    const keys = this.#options.logs.filter(({ name }) => name === checkpoint.origin);
    if (keys.length === 0) return { status: 404, body: 'The origin is not known here\n' };
    if (!isSignedBy(note, keys)) return { status: 403, body: 'No signature of a known key verifies\n' };
    if (oldSize > checkpoint.size) return { status: 400, body: 'The old size is larger than the new one\n' };
    const known = this.#options.state.get(checkpoint.origin);
    const knownSize = known?.size ?? 0;
    if (oldSize !== knownSize) return { status: 409, type: SIZE_TYPE, body: `${knownSize}\n` };
    const knownRoot = known === undefined ? NO_LEAVES : (fromBase64(known.root) ?? new Uint8Array());
    if (knownSize === checkpoint.size && !equal(knownRoot, checkpoint.root)) {
      return { status: 409, body: 'Another root was cosigned for this size\n' };
    }
    // Q1
    if (!merkle.isConsistent({ size: knownSize, root: knownRoot }, checkpoint, proof)) {
      return { status: 422, body: 'The consistency proof does not verify\n' };
    }
    // Q2
    this.#options.state.set(checkpoint.origin, {
      size: checkpoint.size,
      root: toBase64(checkpoint.root),
    });
    return { status: 200, body: this.#cosign(note.text) };
  }

  /** C2SP tlog-cosignature, Ed25519. */
  #cosign(text: string): string {
    const time = Math.floor(this.#options.now() / 1_000);
    const signBytes = (message: Uint8Array): Uint8Array => sign(null, message, this.#options.key.privateKey);
    return `${formatSignatureLine(cosign(this.#own, text, time, signBytes))}\n`;
  }
}

interface AddRequest {
  readonly oldSize: number;
  readonly proof: readonly Uint8Array[];
  readonly note: Note;
  readonly checkpoint: Checkpoint;
}

/** Undefined for what is not the form of such a request. */
function parseRequest(body: Uint8Array): AddRequest | undefined {
  const text = textOf(body);
  const head = text?.indexOf('\n\n') ?? -1;
  if (text === undefined || head === -1) return undefined;
  const [old = '', ...lines] = text.slice(0, head).split('\n');
  const oldSize = old.startsWith('old ') ? parseDecimal(old.slice('old '.length)) : undefined;
  if (oldSize === undefined || lines.length > PROOF_LINES_MAX) return undefined;
  const proof: Uint8Array[] = [];
  for (const line of lines) {
    const hash = fromBase64(line);
    if (hash?.byteLength !== HASH_BYTES) return undefined;
    proof.push(hash);
  }
  const note = parseNote(utf8(text.slice(head + 2)));
  const checkpoint = note === undefined ? undefined : parseCheckpoint(note.text);
  return note === undefined || checkpoint === undefined ? undefined : { oldSize, proof, note, checkpoint };
}

/** Signatures of unknown keys are ignored; one of a known key is enough. */
function isSignedBy(note: Note, keys: readonly VerifierKey[]): boolean {
  const verdict = verifyNote(nodePrimitives, note, keys);
  return verdict.ok && verdict.verified.length > 0;
}
