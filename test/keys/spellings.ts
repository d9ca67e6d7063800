/** Every way in which 32 secret bytes could come out. */
import { seedNkey } from '#runtime/keys/nkey';

/** PKCS #8 in front of an Ed25519 seed. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Texts; raw bytes as latin1, as a file that is read so shows them. */
export function spellingsOf(seed: Uint8Array): string[] {
  const bytes = Buffer.from(seed);
  const der = Buffer.concat([PKCS8, bytes]);
  return [
    bytes.toString('latin1'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    // Whatever stands before it, one of three alignments shows these.
    ...[0, 1, 2].flatMap((skip) => [
      inner(bytes.subarray(skip), 'base64'),
      inner(bytes.subarray(skip), 'base64url'),
    ]),
    der.toString('base64'),
    seedNkey(seed),
    // Arrays of numbers, as JSON and as inspect() print them.
    [...bytes].join(','),
    [...bytes].join(', '),
    JSON.stringify(bytes),
    bytes.toString('hex').replaceAll(/(..)(?=.)/g, '$1 '),
  ];
}

/** The characters that depend on nothing after the bytes. */
function inner(bytes: Buffer, encoding: 'base64' | 'base64url'): string {
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 3));
  return whole.toString(encoding);
}
