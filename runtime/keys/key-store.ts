/**
 * The private keys of a data folder, `keys/`: `realm.seed`, and `<type>%<id>.seed` for every other owner (`node/…`,
 * `guardian/…`, `operator/…`, and the addresses of agents).
 *
 * `realm.signed` is no key: it is what the realm's key signed last (runtime/witness/service/signed-record.ts).
 *
 * While a key is rotated its successor lies beside it as `<name>.seed.next`, until the log says which of the two counts.
 */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { newSeed, type SigningKey, signingKey } from '#runtime/edge/sign';
import { type Address, address, parseAddress } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { isRealmOwner, NODE_TYPE } from '#schemas/keyring';
import { keyErrors } from './errors.ts';
import { ensureSeedFile, promoteSeed, readSeedFile, writeSeedFile } from './key-file.ts';

/** Name of the realm's key file; it has an owner only once it is known which realm it is. */
export const REALM_KEY_NAME = 'realm';
const FOLDER = 'keys';
const SUFFIX = '.seed';
const NODE_ID_BYTES = 6;

/** Where the key of a name lies. */
export function seedFile(dataDir: string, name: string): string {
  return join(dataDir, FOLDER, `${name}${SUFFIX}`);
}

/** Where it is remembered what the realm's key signed last. */
export function signedFile(dataDir: string): string {
  return join(dataDir, FOLDER, `${REALM_KEY_NAME}.signed`);
}

/** The data folder that a key lies in; undefined where it lies elsewhere. */
export function dataFolderOf(file: string): string | undefined {
  const folder = dirname(file);
  return basename(folder) === FOLDER ? dirname(folder) : undefined;
}

/** The name of an owner's key file, without its suffix. Throws `bad_address`. */
export function keyName(owner: string): string {
  const { type, id, address: plain } = parseAddress(owner);
  return isRealmOwner(plain) ? REALM_KEY_NAME : `${type}%${id}`;
}

/** Where the successor of a key lies while it is rotated. */
function nextFile(dataDir: string, name: string): string {
  return `${seedFile(dataDir, name)}.next`;
}

/** A key that lies here. */
export interface StoredKey {
  readonly name: string;
  /** Undefined for the realm's key. */
  readonly owner: Address | undefined;
  readonly key: SigningKey;
}

/** The owner's key; undefined where there is none. Throws `key_file_open`, `key_file_bad`. */
export async function readKey(dataDir: string, owner: string): Promise<SigningKey | undefined> {
  return await readNamed(dataDir, keyName(owner));
}

/** The owner's key, made where there is none. */
export async function ensureKey(dataDir: string, owner: string): Promise<SigningKey> {
  return signingKey(await ensureSeedFile(seedFile(dataDir, keyName(owner))));
}

/** This node's key, made under a random name where there is none. */
export async function ensureNodeKey(dataDir: string): Promise<StoredKey & { readonly owner: Address }> {
  for (const name of await namesIn(dataDir)) {
    const owner = ownerOf(name);
    if (owner === undefined || !owner.startsWith(`${NODE_TYPE}/`)) continue;
    const key = await readNamed(dataDir, name);
    if (key !== undefined) return { name, owner, key };
  }
  const owner = address(NODE_TYPE, randomBytes(NODE_ID_BYTES).toString('hex'));
  return { name: keyName(owner), owner, key: await ensureKey(dataDir, owner) };
}

/** Every key that lies here, by name. Throws `key_file_open`, `key_file_bad`. */
export async function storedKeys(dataDir: string): Promise<StoredKey[]> {
  const found: StoredKey[] = [];
  for (const name of await namesIn(dataDir)) {
    const key = await readNamed(dataDir, name);
    if (key !== undefined) found.push({ name, owner: ownerOf(name), key });
  }
  return found;
}

/** The successor of an owner's key, made where a rotation under way has left none. */
export async function nextKey(dataDir: string, owner: string): Promise<SigningKey> {
  return signingKey(await ensureSeedFile(nextFile(dataDir, keyName(owner))));
}

/**
 * Ends a rotation that a crash left half-way: the successor takes the place of the key where it is the one that counts.
 * One that does not count (yet) stays: the next rotation takes it up.
 */
export async function settleRotation(
  dataDir: string,
  name: string,
  isActive: (kid: string) => boolean,
): Promise<void> {
  const next = nextFile(dataDir, name);
  const seed = await readSeedFile(next);
  if (seed !== undefined && isActive(signingKey(seed).kid)) await promoteSeed(next, seedFile(dataDir, name));
}

/** Stores a seed under a name: true where it is new, false where this very key lies there. Throws `key_file_exists`. */
export async function storeSeed(dataDir: string, name: string, seed: Uint8Array): Promise<boolean> {
  if (!isKeyName(name)) {
    throw new FabricError(keyErrors.key_file_bad, `"${name}" names no key of this folder`);
  }
  const file = seedFile(dataDir, name);
  if (await writeSeedFile(file, seed)) return true;
  const present = await readNamed(dataDir, name);
  if (present?.kid === signingKey(seed).kid) return false;
  throw new FabricError(keyErrors.key_file_exists, `${file} holds another key`, { details: { file } });
}

/** A fresh key under a name. Throws `key_file_exists` where there is one. */
export async function makeKey(dataDir: string, owner: string): Promise<SigningKey> {
  const seed = newSeed();
  await storeSeed(dataDir, keyName(owner), seed);
  return signingKey(seed);
}

/** The seed of a name, for an export. Throws `key_file_absent`. */
export async function seedOf(dataDir: string, name: string): Promise<Uint8Array> {
  const file = seedFile(dataDir, name);
  const seed = await readSeedFile(file);
  if (seed !== undefined) return seed;
  throw new FabricError(keyErrors.key_file_absent, `There is no key ${file}`, { details: { file } });
}

async function readNamed(dataDir: string, name: string): Promise<SigningKey | undefined> {
  const seed = await readSeedFile(seedFile(dataDir, name));
  return seed === undefined ? undefined : signingKey(seed);
}

async function namesIn(dataDir: string): Promise<string[]> {
  let files: string[];
  try {
    files = await readdir(join(dataDir, FOLDER));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw cause;
  }
  const names = files.filter((file) => file.endsWith(SUFFIX)).map((file) => file.slice(0, -SUFFIX.length));
  return names.filter(isKeyName).sort();
}

function isKeyName(name: string): boolean {
  return name === REALM_KEY_NAME || ownerOf(name) !== undefined;
}

/** Undefined for a name that is no owner's: the realm's, a file of somebody else's. */
function ownerOf(name: string): Address | undefined {
  const [type = '', id = '', ...rest] = name.split('%');
  if (rest.length > 0) return undefined;
  try {
    return address(type, id);
  } catch {
    // Whatever else lies in the folder is not ours to judge.
    return undefined;
  }
}
