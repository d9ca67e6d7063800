/**
 * Private keys in a file that only a passphrase opens.
 *
 * X1  AES-256-GCM under a key that scrypt makes of the passphrase; everything else in the file is authenticated with it.
 * X2  What scrypt is asked to do is bounded on both sides: a file can demand neither next to nothing nor the machine.
 * X3  A passphrase that is wrong and a file that was changed are told apart by nobody.
 */
import { createCipheriv, createDecipheriv, randomBytes, type ScryptOptions, scrypt } from 'node:crypto';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import { KEY_BYTES, signingKey } from '#runtime/edge/sign';
import { FabricError } from '#schemas/fabric-error';
import { keyErrors } from './errors.ts';

const FORMAT = 'infrafabric-keys';
const VERSION = 1;
const CIPHER = 'aes-256-gcm';
const SALT_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER_KEY_BYTES = 32;
/** 128 MiB and about half a second a guess (OWASP, 2024: N 2^17, r 8, p 1). */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 };
/** X2 */
const SCRYPT_MEMORY_BYTES_MAX = 512 * 1024 * 1024;
const SCRYPT_N_MIN = 2 ** 15;
export const PASSPHRASE_CHARS_MIN = 12;
export const EXPORT_KEYS_MAX = 10_000;
export const EXPORT_BYTES_MAX = 4 * 1024 * 1024;

const base64 = (bytes: number) => z.base64().refine((text) => Buffer.from(text, 'base64').length === bytes);

const headSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  kdf: z.strictObject({
    name: z.literal('scrypt'),
    N: z
      .int()
      .min(SCRYPT_N_MIN)
      .max(2 ** 20)
      .refine((n) => (n & (n - 1)) === 0),
    r: z.int().min(8).max(32),
    p: z.int().min(1).max(4),
    salt: base64(SALT_BYTES),
  }),
  cipher: z.literal(CIPHER),
  nonce: base64(NONCE_BYTES),
  /** Names and kids, in the order of the seeds. */
  keys: z
    .array(
      z.strictObject({ name: z.string().regex(/^[A-Za-z0-9._@+=~:%-]{1,256}$/), kid: z.string().length(22) }),
    )
    .min(1)
    .max(EXPORT_KEYS_MAX),
});
const fileSchema = headSchema.extend({ data: z.base64() });

type Head = z.infer<typeof headSchema>;

/** A private key with the name of its file. */
export interface NamedSeed {
  readonly name: string;
  /** 32 bytes. */
  readonly seed: Uint8Array;
}

/** The text of an export. Throws `passphrase_weak`. */
export async function sealKeys(keys: readonly NamedSeed[], passphrase: string): Promise<string> {
  if ([...passphrase].length < PASSPHRASE_CHARS_MIN) {
    throw new FabricError(
      keyErrors.passphrase_weak,
      `The passphrase has fewer than ${PASSPHRASE_CHARS_MIN} characters`,
    );
  }
  const head: Head = {
    format: FORMAT,
    version: VERSION,
    kdf: { name: 'scrypt', ...SCRYPT, salt: randomBytes(SALT_BYTES).toString('base64') },
    cipher: CIPHER,
    nonce: randomBytes(NONCE_BYTES).toString('base64'),
    keys: keys.map(({ name, seed }) => ({ name, kid: signingKey(seed).kid })),
  };
  const key = await cipherKey(passphrase, head);
  const plain = Buffer.concat(keys.map(({ seed }) => seed));
  const cipher = createCipheriv(CIPHER, key, Buffer.from(head.nonce, 'base64'));
  cipher.setAAD(authenticated(head));
  const data = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  key.fill(0);
  plain.fill(0);
  return `${JSON.stringify({ ...head, data: data.toString('base64') }, null, 2)}\n`;
}

/** What an export says it holds, before anybody gave a passphrase. Throws `export_bad`. */
export function readExport(text: string): {
  readonly names: readonly string[];
  open(passphrase: string): Promise<NamedSeed[]>;
} {
  const parsed = text.length > EXPORT_BYTES_MAX ? undefined : fileSchema.safeParse(jsonOf(text));
  if (parsed?.success !== true) throw new FabricError(keyErrors.export_bad, 'The file is no key export');
  const { data, ...head } = parsed.data;
  return { names: head.keys.map(({ name }) => name), open: (passphrase) => openKeys(head, data, passphrase) };
}

/** Throws `export_locked` (X3), `export_bad`. */
async function openKeys(head: Head, data: string, passphrase: string): Promise<NamedSeed[]> {
  const bytes = Buffer.from(data, 'base64');
  if (bytes.length !== head.keys.length * KEY_BYTES + TAG_BYTES) {
    throw new FabricError(keyErrors.export_bad, 'The keys in the file are not as many as it names');
  }
  const key = await cipherKey(passphrase, head);
  const decipher = createDecipheriv(CIPHER, key, Buffer.from(head.nonce, 'base64'), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(authenticated(head));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  let plain: Buffer;
  try {
    plain = Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]);
  } catch {
    // X3
    throw new FabricError(keyErrors.export_locked, 'The passphrase does not open this file');
  } finally {
    key.fill(0);
  }
  const seeds = head.keys.map(({ name, kid }, at) => {
    const seed = new Uint8Array(plain.subarray(at * KEY_BYTES, (at + 1) * KEY_BYTES));
    if (signingKey(seed).kid !== kid)
      throw new FabricError(keyErrors.export_bad, `The key of ${name} is another one`);
    return { name, seed };
  });
  plain.fill(0);
  return seeds;
}

function cipherKey(passphrase: string, { kdf }: Head): Promise<Buffer> {
  const { N, r, p, salt } = kdf;
  if (128 * N * r > SCRYPT_MEMORY_BYTES_MAX) {
    throw new FabricError(
      keyErrors.export_bad,
      'The file wants more memory to be opened than any export does',
    );
  }
  const options: ScryptOptions = { N, r, p, maxmem: 2 * SCRYPT_MEMORY_BYTES_MAX };
  return new Promise((done, failed) => {
    // The same passphrase typed on another keyboard is the same (RFC 8265).
    scrypt(
      passphrase.normalize('NFC'),
      Buffer.from(salt, 'base64'),
      CIPHER_KEY_BYTES,
      options,
      (error, key) => {
        if (error === null) done(key);
        else failed(error);
      },
    );
  });
}

/** X1 */
function authenticated(head: Head): Uint8Array {
  return Buffer.from(canonicalize(head) ?? '');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No schema takes it.
    return undefined;
  }
}
