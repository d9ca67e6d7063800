/**
 * Ed25519 keys as NATS writes them (nkeys): base32 of prefix, key and CRC-16. The same key signs messages and signs on.
 *
 * Y1  Nothing but a nonce of a NATS server is signed at sign-on: what the fabric signs elsewhere (JSON, notes, orders)
 *     holds a brace or a newline, a nonce neither. A false server can so get no other signature.
 */
import { sign } from 'node:crypto';
import type { Authenticator } from '@nats-io/nats-core';
import { KEY_BYTES, type SigningKey } from '#runtime/edge/sign';
import { FabricError } from '#schemas/fabric-error';
import { keyErrors } from './errors.ts';

/** Prefix bytes; the first letter of the text comes from them. */
const USER = 20 << 3;
const SEED = 18 << 3;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const CRC_BYTES = 2;
const CRC_POLYNOMIAL = 0x1021;
/** nats-server sends 11 random bytes in base64url; Y1 leaves room for more. */
const NONCE = /^[A-Za-z0-9_-]{8,88}$/;

/** `U…`: what stands in a server's `authorization` or in an account. */
export function userNkey(publicKey: Uint8Array): string {
  return encode(Uint8Array.of(USER), publicKey);
}

/** `SU…`: the seed as NATS tools take it. A secret. */
export function seedNkey(seed: Uint8Array): string {
  return encode(Uint8Array.of(SEED | (USER >> 5), (USER & 31) << 3), seed);
}

/** The public key of `U…`. Throws `bad_nkey`. */
export function publicKeyOfNkey(text: string): Uint8Array {
  const bytes = decode(text);
  if (bytes[0] !== USER || bytes.byteLength !== 1 + KEY_BYTES) throw bad();
  return bytes.slice(1);
}

/** The seed of `SU…`. Throws `bad_nkey`, which never quotes the text. */
export function seedOfNkey(text: string): Uint8Array {
  const bytes = decode(text);
  const isSeed = bytes[0] === (SEED | (USER >> 5)) && bytes[1] === (USER & 31) << 3;
  if (!isSeed || bytes.byteLength !== 2 + KEY_BYTES) throw bad();
  return bytes.slice(2);
}

/**
 * Signs on to a NATS server with a key of the fabric, for `authenticator` of the connect options. Throws `bad_nonce`
 * (Y1) where the server asks for another signature.
 */
export function natsAuthenticator({ publicKey, privateKey }: SigningKey): Authenticator {
  const nkey = userNkey(publicKey);
  return (nonce = '') => {
    if (!NONCE.test(nonce)) {
      throw new FabricError(keyErrors.bad_nonce, 'The server sent no nonce to sign');
    }
    return { nkey, sig: sign(null, Buffer.from(nonce), privateKey).toString('base64url') };
  };
}

function encode(prefix: Uint8Array, key: Uint8Array): string {
  if (key.byteLength !== KEY_BYTES) throw bad();
  const body = Buffer.concat([prefix, key]);
  const crc = Buffer.alloc(CRC_BYTES);
  crc.writeUInt16LE(crc16(body));
  return toBase32(Buffer.concat([body, crc]));
}

function decode(text: string): Uint8Array {
  const raw = fromBase32(text);
  const body = raw.subarray(0, -CRC_BYTES);
  if (raw.byteLength <= CRC_BYTES || raw.readUInt16LE(body.byteLength) !== crc16(body)) throw bad();
  return new Uint8Array(body);
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ CRC_POLYNOMIAL) & 0xffff;
    }
  }
  return crc;
}

/** RFC 4648 base32 without padding. */
function toBase32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31];
    value &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + ALPHABET[(value << (5 - bits)) & 31];
}

function fromBase32(text: string): Buffer {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const letter of text) {
    const five = ALPHABET.indexOf(letter);
    if (five === -1) throw bad();
    value = (value << 5) | five;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push(value >> bits);
      value &= (1 << bits) - 1;
    }
  }
  // One key has one text: unused bits are zero.
  if (value !== 0 || bits >= 5) throw bad();
  return Buffer.from(bytes);
}

function bad(): FabricError {
  return new FabricError(keyErrors.bad_nkey, 'The text is no nkey of a user');
}
