/**
 * A C2SP tlog-witness: cosigns the checkpoints of the logs it knows, each only where it follows, append-only, from the
 * one before.
 *
 * Q1  For each origin, all checkpoints that are ever cosigned are of one append-only log: a new one needs a consistency
 *     proof from the largest that was cosigned.
 * Q2  What is cosigned is on disk before the cosignature is made; between the check against the record and the new
 *     record nothing else is done (no await), and one process owns the folder.
 */
import { sign, verify } from 'node:crypto';
import { type SigningKey, verifyingKey } from '#runtime/edge/sign';
import { equalBytes } from '#runtime/shard/commit';
import {
  type Checkpoint,
  COSIGNATURE,
  cosignatureText,
  ED25519,
  type Note,
  parseCheckpoint,
  parseNote,
  signatureLine,
  type VerifierKey,
  verifierKey,
  verifierKeyText,
  verifyConsistency,
} from '../core.ts';
import type { HttpReply } from '../http-listener.ts';
import { RightEdge } from '../right-edge.ts';
import type { StateFile } from './state-file.ts';

/** C2SP tlog-witness: no client sends more. */
const PROOF_LINES_MAX = 63;
const HASH_BYTES = 32;
/** A checkpoint with extension lines, many signatures and the longest proof. */
export const BODY_BYTES_MAX = 64 * 1024;
const SIZE_TYPE = 'text/x.tlog.size';
const NO_LEAVES = new RightEdge().root();

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
    this.#own = verifierKey(options.name, COSIGNATURE, options.key.publicKey);
  }

  /** Its verifier key, as those who rely on it configure it. */
  get key(): string {
    return verifierKeyText(this.#own);
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
    const knownRoot = known === undefined ? NO_LEAVES : Buffer.from(known.root, 'base64');
    if (knownSize === checkpoint.size && !equalBytes(knownRoot, checkpoint.root)) {
      return { status: 409, body: 'Another root was cosigned for this size\n' };
    }
    // Q1
    if (!verifyConsistency(knownSize, checkpoint.size, knownRoot, checkpoint.root, proof)) {
      return { status: 422, body: 'The consistency proof does not verify\n' };
    }
    // Q2
    this.#options.state.set(checkpoint.origin, {
      size: checkpoint.size,
      root: Buffer.from(checkpoint.root).toString('base64'),
    });
    return { status: 200, body: this.#cosign(note.text) };
  }

  /** C2SP tlog-cosignature, Ed25519. */
  #cosign(text: string): string {
    const time = Math.floor(this.#options.now() / 1_000);
    const stamp = Buffer.alloc(8);
    stamp.writeBigUInt64BE(BigInt(time));
    const signature = sign(null, Buffer.from(cosignatureText(time, text)), this.#options.key.privateKey);
    return signatureLine(this.#own.name, this.#own.id, Buffer.concat([stamp, signature]));
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
  const text = Buffer.from(body).toString();
  const head = text.indexOf('\n\n');
  if (head === -1 || !Buffer.from(text).equals(body)) return undefined;
  const [old = '', ...lines] = text.slice(0, head).split('\n');
  const size = /^old (0|[1-9]\d{0,15})$/.exec(old)?.[1];
  if (size === undefined || !Number.isSafeInteger(Number(size)) || lines.length > PROOF_LINES_MAX)
    return undefined;
  const proof = lines.map((line) => Buffer.from(line, 'base64'));
  const isGood = proof.every(
    (hash, i) => hash.byteLength === HASH_BYTES && hash.toString('base64') === lines[i],
  );
  const note = parseNote(text.slice(head + 2));
  const checkpoint = note === undefined ? undefined : parseCheckpoint(note.text);
  if (!isGood || note === undefined || checkpoint === undefined) return undefined;
  return { oldSize: Number(size), proof, note, checkpoint };
}

/** Signatures of unknown keys are ignored; one of a known key is enough. */
function isSignedBy({ text, signatures }: Note, keys: readonly VerifierKey[]): boolean {
  return signatures.some(({ name, id, signature }) => {
    const key = keys.find((k) => k.name === name && k.type === ED25519 && equalBytes(k.id, id));
    return key !== undefined && verify(null, Buffer.from(text), verifyingKey(key.publicKey), signature);
  });
}
