import { sha256 } from '#runtime/bus/codec';
import { equalBytes } from '#runtime/shard/commit';
import { nodeHash, TILE_WIDTH, type TileLevel } from './right-edge.ts';

const ENTRY_BYTES = 64;
const MAGIC = Buffer.from('IFC1');

export interface Leaf {
  readonly shard: number;
  readonly index: number;
  readonly seq: number;
  readonly at: number;
  readonly hash: Uint8Array;
}

export function encodeLeaf({ shard, index, seq, at, hash }: Leaf): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  const view = new DataView(entry.buffer);
  entry.set(MAGIC, 0);
  view.setUint32(4, shard);
  view.setBigUint64(8, BigInt(index));
  view.setBigUint64(16, BigInt(seq));
  view.setBigUint64(24, BigInt(at));
  entry.set(hash, 32);
  return entry;
}

export function decodeLeaf(entry: Uint8Array): Leaf | undefined {
  if (entry.byteLength !== ENTRY_BYTES || !equalBytes(entry.subarray(0, 4), MAGIC)) return undefined;
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const number = (at: number): number => Number(view.getBigUint64(at));
  return {
    shard: view.getUint32(4),
    index: number(8),
    seq: number(16),
    at: number(24),
    hash: entry.subarray(32),
  };
}

export function splitBundle(bundle: Uint8Array): Uint8Array[] | undefined {
  const entries: Uint8Array[] = [];
  for (let at = 0; at < bundle.byteLength; ) {
    const end = at + 2 + (((bundle[at] ?? 0) << 8) | (bundle[at + 1] ?? 0));
    if (end > bundle.byteLength) return undefined;
    entries.push(bundle.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

export function tilePath(level: TileLevel, n: number, width: number): string {
  const digits = String(n);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? [];
  const name = groups.map((group, i) => (i === groups.length - 1 ? group : `x${group}`)).join('/');
  return `tile/${level}/${name}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

export function parseTilePath(path: string): { level: TileLevel; n: number; width: number } | undefined {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,4}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (match === null) return undefined;
  const [, levelText = '', nText = '', widthText] = match;
  const level = levelText === 'entries' ? 'entries' : Number(levelText);
  const n = Number(nText.replaceAll(/[x/]/g, ''));
  const width = widthText === undefined ? TILE_WIDTH : Number(widthText);
  return tilePath(level, n, width) === path && width >= 1 ? { level, n, width } : undefined;
}

/** Hash of the subtree of 2^height leaves that begins at leaf n·2^height. */
export type SubtreeReader = (height: number, n: number) => Promise<Uint8Array>;

async function rangeHash(from: number, to: number, read: SubtreeReader): Promise<Uint8Array> {
  const size = to - from;
  if (size === 0) return sha256(new Uint8Array());
  const k = largestPowerBelow(size);
  if (size === 1 || k * 2 === size) return await read(Math.round(Math.log2(size)), from / size);
  return nodeHash(await rangeHash(from, from + k, read), await rangeHash(from + k, to, read));
}

function largestPowerBelow(size: number): number {
  let k = 1;
  while (k * 2 < size) k *= 2;
  return k;
}

/** RFC 6962, 2.1.2 */
export async function consistencyProof(m: number, n: number, read: SubtreeReader): Promise<Uint8Array[]> {
  if (m === 0 || m === n) return [];
  return await subproof(m, 0, n, true, read);
}

async function subproof(
  m: number,
  from: number,
  to: number,
  isWhole: boolean,
  read: SubtreeReader,
): Promise<Uint8Array[]> {
  if (m === to - from) return isWhole ? [] : [await rangeHash(from, to, read)];
  const k = largestPowerBelow(to - from);
  if (m <= k) {
    return [...(await subproof(m, from, from + k, isWhole, read)), await rangeHash(from + k, to, read)];
  }
  return [...(await subproof(m - k, from + k, to, false, read)), await rangeHash(from, from + k, read)];
}

/** RFC 6962, 2.1.1 */
export async function inclusionProof(
  leaf: number,
  from: number,
  to: number,
  read: SubtreeReader,
): Promise<Uint8Array[]> {
  if (to - from === 1) return [];
  const k = largestPowerBelow(to - from);
  return leaf < from + k
    ? [...(await inclusionProof(leaf, from, from + k, read)), await rangeHash(from + k, to, read)]
    : [...(await inclusionProof(leaf, from + k, to, read)), await rangeHash(from, from + k, read)];
}

/** RFC 9162, 2.1.4.2 */
export function verifyConsistency(
  first: number,
  second: number,
  firstRoot: Uint8Array,
  secondRoot: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (first > second) return false;
  if (first === second) return proof.length === 0 && equalBytes(firstRoot, secondRoot);
  if (first === 0) return proof.length === 0;
  const path = isPowerOfTwo(first) ? [firstRoot, ...proof] : [...proof];
  const [start] = path;
  if (start === undefined) return false;
  let fn = BigInt(first - 1);
  let sn = BigInt(second - 1);
  while (fn & 1n) {
    fn >>= 1n;
    sn >>= 1n;
  }
  let fr = start;
  let sr = start;
  for (const c of path.slice(1)) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      fr = nodeHash(c, fr);
      sr = nodeHash(c, sr);
      if (!(fn & 1n)) {
        while (!(fn & 1n) && fn !== 0n) {
          fn >>= 1n;
          sn >>= 1n;
        }
      }
    } else sr = nodeHash(sr, c);
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n && equalBytes(fr, firstRoot) && equalBytes(sr, secondRoot);
}

function isPowerOfTwo(n: number): boolean {
  return Number.isInteger(Math.log2(n));
}

/** Signed notes: a key, as text `name+id+base64(type ‖ public key)`. */
export interface VerifierKey {
  readonly name: string;
  readonly id: Uint8Array;
  readonly type: number;
  readonly publicKey: Uint8Array;
}

export const ED25519 = 1;
export const COSIGNATURE = 4;

export function verifierKey(name: string, type: number, publicKey: Uint8Array): VerifierKey {
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), Uint8Array.of(type), publicKey])).subarray(0, 4);
  return { name, id, type, publicKey };
}

export function verifierKeyText({ name, id, type, publicKey }: VerifierKey): string {
  const key = Buffer.concat([Uint8Array.of(type), publicKey]).toString('base64');
  return `${name}+${Buffer.from(id).toString('hex')}+${key}`;
}

export function parseVerifierKey(text: string): VerifierKey | undefined {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(text);
  if (match === null) return undefined;
  const [, name = '', id = '', base64 = ''] = match;
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.byteLength !== 33 || bytes.toString('base64') !== base64) return undefined;
  const key = verifierKey(name, bytes[0] ?? 0, bytes.subarray(1));
  return Buffer.from(key.id).toString('hex') === id ? key : undefined;
}

export interface NoteSignature {
  readonly name: string;
  readonly id: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Note {
  /** With its last newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

const SIGNATURES_MAX = 64;

export function parseNote(note: string): Note | undefined {
  const end = note.lastIndexOf('\n\n');
  if (end === -1 || !note.endsWith('\n')) return undefined;
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > SIGNATURES_MAX) return undefined;
  const signatures: NoteSignature[] = [];
  for (const line of lines) {
    const match = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+=*)$/u.exec(line);
    const bytes = Buffer.from(match?.[2] ?? '', 'base64');
    if (match === null || bytes.byteLength < 5 || bytes.toString('base64') !== match[2]) return undefined;
    signatures.push({ name: match[1] ?? '', id: bytes.subarray(0, 4), signature: bytes.subarray(4) });
  }
  return { text: note.slice(0, end + 1), signatures };
}

export function signatureLine(name: string, id: Uint8Array, signature: Uint8Array): string {
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

export function parseCheckpoint(text: string): Checkpoint | undefined {
  const [origin, size = '', root = ''] = text.split('\n');
  const bytes = Buffer.from(root, 'base64');
  const isGood =
    origin !== undefined &&
    origin !== '' &&
    /^(?:0|[1-9]\d{0,15})$/.test(size) &&
    Number.isSafeInteger(Number(size)) &&
    bytes.byteLength === 32 &&
    bytes.toString('base64') === root;
  return isGood ? { origin, size: Number(size), root: bytes } : undefined;
}

export function cosignatureText(time: number, text: string): string {
  return `cosignature/v1\ntime ${time}\n${text}`;
}
