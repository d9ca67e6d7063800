/** The realm's own certificate authority, and the certificate of its server: X.509 v3 (RFC 5280), ECDSA on P-256. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { isIP } from 'node:net';
import { der } from './der.ts';

const SERIAL_BYTES = 16;
const CA_DAYS = 3_650;
const SERVER_DAYS = 397;
const DAY_MS = 86_400_000;
/** Clocks that are a little behind take a fresh certificate too. */
const BACKDATED_MS = 3_600_000;

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
};

/** PEM texts; the key is a secret. */
export interface Certified {
  readonly cert: string;
  readonly key: string;
}

/** An authority of a realm's own. `now` is ms since the epoch. */
export function makeAuthority(realm: string, now: number): Certified {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = authorityName(realm);
  const cert = certificate({
    issuer: name,
    subject: name,
    publicKey,
    signer: privateKey,
    now,
    days: CA_DAYS,
    extensions: [
      extension(OID.basicConstraints, der.sequence(der.true()), true),
      // keyCertSign and cRLSign.
      extension(OID.keyUsage, der.bits(Uint8Array.of(0x06), 1), true),
      extension(OID.subjectKeyId, der.octets(keyId(publicKey))),
    ],
  });
  return { cert, key: pem(privateKey) };
}

/** A server's certificate for the hosts, names or addresses, by which clients know it. */
export function certifyServer(
  { key }: Pick<Certified, 'key'>,
  realm: string,
  hosts: readonly string[],
  now: number,
): Certified {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = createPrivateKey(key);
  const names = hosts.map((host) =>
    isIP(host) === 0 ? der.implicit(2, Buffer.from(host)) : der.implicit(7, addressBytes(host)),
  );
  const cert = certificate({
    issuer: authorityName(realm),
    subject: `InfraFabric server of ${realm}`,
    publicKey,
    signer,
    now,
    days: SERVER_DAYS,
    extensions: [
      extension(OID.basicConstraints, der.sequence(), true),
      // digitalSignature.
      extension(OID.keyUsage, der.bits(Uint8Array.of(0x80), 7), true),
      extension(OID.extendedKeyUsage, der.sequence(der.oid(OID.serverAuth))),
      extension(OID.subjectAltName, der.sequence(...names)),
      extension(OID.authorityKeyId, der.sequence(der.implicit(0, keyId(createPublicKey(signer))))),
    ],
  });
  return { cert, key: pem(privateKey) };
}

interface Contents {
  readonly issuer: string;
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly now: number;
  readonly days: number;
  readonly extensions: readonly Uint8Array[];
}

function certificate({ issuer, subject, publicKey, signer, now, days, extensions }: Contents): string {
  const algorithm = der.sequence(der.oid(OID.ecdsaWithSha256));
  const signed = der.sequence(
    // v3
    der.explicit(0, der.integer(Uint8Array.of(2))),
    der.integer(randomBytes(SERIAL_BYTES)),
    algorithm,
    nameOf(issuer),
    der.sequence(der.time(new Date(now - BACKDATED_MS)), der.time(new Date(now + days * DAY_MS))),
    nameOf(subject),
    publicKey.export({ format: 'der', type: 'spki' }),
    der.explicit(3, der.sequence(...extensions)),
  );
  const whole = der.sequence(signed, algorithm, der.bits(sign('sha256', signed, signer)));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function authorityName(realm: string): string {
  return `InfraFabric realm ${realm}`;
}

function nameOf(commonName: string): Buffer {
  return der.sequence(der.set(der.sequence(der.oid(OID.commonName), der.utf8(commonName))));
}

function extension(oid: string, value: Uint8Array, isCritical = false): Buffer {
  return der.sequence(der.oid(oid), ...(isCritical ? [der.true()] : []), der.octets(value));
}

/** RFC 5280 4.2.1.2, of whatever form: only equality counts. */
function keyId(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(spki).digest().subarray(0, 20);
}

function pem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** 4 or 16 bytes. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [left, right] = [groups(head), groups(tail ?? '')];
  const middle = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return Buffer.from([...left, ...middle, ...right].map((group) => group.padStart(4, '0')).join(''), 'hex');
}
