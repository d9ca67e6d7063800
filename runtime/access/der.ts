/** ASN.1 DER (X.690), as much of it as a certificate needs. */

const SHORT_LENGTH_MAX = 0x7f;
/** UTCTime has two digits for the year; RFC 5280 4.1.2.5 asks for GeneralizedTime from here on. */
const GENERALIZED_FROM_YEAR = 2050;

function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length <= SHORT_LENGTH_MAX) return Buffer.concat([Uint8Array.of(tag, body.length), body]);
  const hex = body.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Uint8Array.of(tag, 0x80 | length.length), length, body]);
}

export const der = {
  sequence: (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, ...parts),
  set: (...parts: readonly Uint8Array[]): Buffer => tlv(0x31, ...parts),
  /** A whole number from 0, big-endian. */
  integer: (bytes: Uint8Array): Buffer => {
    const start = bytes.findIndex((byte) => byte !== 0);
    const short = start === -1 ? Uint8Array.of(0) : bytes.subarray(start);
    return tlv(0x02, (short[0] ?? 0) >= 0x80 ? Uint8Array.of(0) : new Uint8Array(), short);
  },
  true: (): Buffer => tlv(0x01, Uint8Array.of(0xff)),
  octets: (bytes: Uint8Array): Buffer => tlv(0x04, bytes),
  bits: (bytes: Uint8Array, unused = 0): Buffer => tlv(0x03, Uint8Array.of(unused), bytes),
  utf8: (text: string): Buffer => tlv(0x0c, Buffer.from(text)),
  oid: (text: string): Buffer => {
    const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
    return tlv(0x06, Uint8Array.from([first * 40 + second, ...rest.flatMap(base128)]));
  },
  time: (at: Date): Buffer => {
    const digits = `${at.toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
    return at.getUTCFullYear() < GENERALIZED_FROM_YEAR
      ? tlv(0x17, Buffer.from(digits.slice(2)))
      : tlv(0x18, Buffer.from(digits));
  },
  /** `[n]` around what is inside. */
  explicit: (n: number, ...parts: readonly Uint8Array[]): Buffer => tlv(0xa0 | n, ...parts),
  /** `[n]` in place of the tag of a plain value. */
  implicit: (n: number, bytes: Uint8Array): Buffer => tlv(0x80 | n, bytes),
};

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}
