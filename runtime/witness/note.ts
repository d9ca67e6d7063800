/**
 * Signed notes (C2SP signed-note): a text and signatures of it by named Ed25519 keys, type 0x01 or, as cosignatures,
 * 0x04.
 *
 * N1  A signature counts only where name and key id are those of a key that the reader brought.
 * N2  One false signature of such a key and the whole note is refused.
 */
import { concat, equal, fromBase64, textOf, toBase64, toHex, utf8 } from './bytes.ts';
import { COSIGNATURE_BYTES, cosignedText, timestampOf } from './cosignature.ts';
import type { Primitives, Sha256 } from './hash.ts';

/** Signature types. */
export const ED25519 = 0x01;
export const COSIGNATURE_V1 = 0x04;

/** The spec asks for 16 at least. */
export const SIGNATURES_MAX = 64;
export const NOTE_BYTES_MAX = 64 * 1024;
const KEY_ID_BYTES = 4;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** Non-empty, without Unicode spaces, `+` and control characters. */
const KEY_NAME = /^[^\s+\p{Cc}]+$/u;

export interface VerifierKey {
  readonly name: string;
  readonly type: typeof ED25519 | typeof COSIGNATURE_V1;
  /** 4 bytes. */
  readonly id: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

export interface NoteSignature {
  readonly name: string;
  readonly keyId: Uint8Array;
  /** What follows the key id. */
  readonly signature: Uint8Array;
}

export interface Note {
  /** With its final newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** Throws a RangeError for a name or a key that no note can have. */
export function verifierKey(
  sha256: Sha256,
  name: string,
  publicKey: Uint8Array,
  type: VerifierKey['type'] = ED25519,
): VerifierKey {
  if (!KEY_NAME.test(name)) throw new RangeError(`"${name}" cannot name a key: spaces and + are not allowed`);
  if (publicKey.byteLength !== PUBLIC_KEY_BYTES) throw new RangeError('An Ed25519 public key has 32 bytes');
  const id = sha256(concat(utf8(`${name}\n`), Uint8Array.of(type), publicKey)).slice(0, KEY_ID_BYTES);
  return { name, type, id, publicKey };
}

/** `<name>+<key id>+<base64 of type and key>` */
export function formatVerifierKey({ name, id, type, publicKey }: VerifierKey): string {
  return `${name}+${toHex(id)}+${toBase64(concat(Uint8Array.of(type), publicKey))}`;
}

/** Undefined for what is no vkey of a type known here, or whose id is not that of its key. */
export function parseVerifierKey(sha256: Sha256, text: string): VerifierKey | undefined {
  const [name = '', id = '', ...rest] = text.split('+');
  const bytes = fromBase64(rest.join('+'));
  if (!KEY_NAME.test(name) || bytes?.byteLength !== 1 + PUBLIC_KEY_BYTES) return undefined;
  const type = bytes[0];
  if (type !== ED25519 && type !== COSIGNATURE_V1) return undefined;
  const key = verifierKey(sha256, name, bytes.slice(1), type);
  return toHex(key.id) === id ? key : undefined;
}

/** Undefined for bytes that are no signed note. */
export function parseNote(bytes: Uint8Array): Note | undefined {
  if (bytes.byteLength > NOTE_BYTES_MAX) return undefined;
  const whole = textOf(bytes);
  if (whole === undefined || hasControls(whole)) return undefined;
  const at = whole.lastIndexOf('\n\n');
  if (at < 0 || !whole.endsWith('\n')) return undefined;
  const lines = whole.slice(at + 2, -1).split('\n');
  if (lines.length > SIGNATURES_MAX) return undefined;
  const signatures: NoteSignature[] = [];
  for (const line of lines) {
    const signature = parseSignatureLine(line);
    if (signature === undefined) return undefined;
    signatures.push(signature);
  }
  return { text: whole.slice(0, at + 1), signatures };
}

/** The bytes of a note. Throws a RangeError for a text that no note can have. */
export function formatNote({ text, signatures }: Note): Uint8Array {
  if (!text.endsWith('\n') || hasControls(text))
    throw new RangeError('A note is lines of text without controls');
  return utf8(`${text}\n${signatures.map((signature) => `${formatSignatureLine(signature)}\n`).join('')}`);
}

export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  return `— ${name} ${toBase64(concat(keyId, signature))}`;
}

/** Undefined for what is no signature line. */
export function parseSignatureLine(line: string): NoteSignature | undefined {
  const [dash, name = '', base64 = '', ...rest] = line.split(' ');
  if (dash !== '—' || rest.length > 0 || !KEY_NAME.test(name)) return undefined;
  const bytes = fromBase64(base64);
  if (bytes === undefined || bytes.byteLength <= KEY_ID_BYTES) return undefined;
  return { name, keyId: bytes.slice(0, KEY_ID_BYTES), signature: bytes.slice(KEY_ID_BYTES) };
}

/** Signs a text with a key of type 0x01. */
export function signText(
  key: VerifierKey,
  text: string,
  sign: (message: Uint8Array) => Uint8Array,
): NoteSignature {
  return { name: key.name, keyId: key.id, signature: sign(utf8(text)) };
}

export interface Verified {
  readonly key: VerifierKey;
  /** Of a cosignature: when it was made, seconds since the epoch. */
  readonly timestamp?: number;
}

export type NoteVerdict =
  | { readonly ok: true; readonly verified: readonly Verified[] }
  /** N2 */
  | { readonly ok: false; readonly forged: VerifierKey };

/** Which of the keys signed the note (N1). Nobody is one of the answers: the caller says who has to. */
export function verifyNote(
  { verifyEd25519 }: Pick<Primitives, 'verifyEd25519'>,
  note: Note,
  keys: readonly VerifierKey[],
): NoteVerdict {
  const verified: Verified[] = [];
  for (const { name, keyId, signature } of note.signatures) {
    const key = keys.find((known) => known.name === name && equal(known.id, keyId));
    if (key === undefined) continue;
    const timestamp = key.type === COSIGNATURE_V1 ? timestampOf(signature) : undefined;
    const isTrue =
      key.type === ED25519
        ? signature.byteLength === SIGNATURE_BYTES && verifyEd25519(key.publicKey, utf8(note.text), signature)
        : timestamp !== undefined &&
          verifyEd25519(
            key.publicKey,
            cosignedText(note.text, timestamp),
            signature.subarray(COSIGNATURE_BYTES - SIGNATURE_BYTES),
          );
    if (!isTrue) return { ok: false, forged: key };
    if (verified.some((other) => other.key === key)) continue;
    verified.push(timestamp === undefined ? { key } : { key, timestamp });
  }
  return { ok: true, verified };
}

function hasControls(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code < 0x20 && code !== 0x0a) return true;
  }
  return false;
}
