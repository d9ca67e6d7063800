/**
 * The realm's public keys, by kid: a KV bucket in front of which every node keeps a copy, fed by a watcher.
 *
 * K1  A kid keeps its public key and its owner for ever; a change of either is refused.
 * K2  A revoked key never becomes active again.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { parseAddress } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { edgeErrors } from './errors.ts';
import { KEY_BYTES } from './sign.ts';

const KID = /^[A-Za-z0-9_-]{1,64}$/;
/** Writes that lost a race are tried again on the newer record this often. */
const WRITE_ATTEMPTS_MAX = 8;

const keyRecordSchema = z.strictObject({
  kid: z.string().regex(KID),
  /** 32 bytes, base64url. */
  publicKey: z.string(),
  /** Address without scheme, `session/ndi`. */
  owner: z.string(),
  status: z.enum(['active', 'revoked']),
  /** ms since the epoch. */
  addedAt: z.number(),
  revokedAt: z.number().optional(),
});

export type KeyRecord = Readonly<z.infer<typeof keyRecordSchema>>;

/** A key as an operator states it. */
export interface KeyEntry {
  readonly kid: string;
  readonly owner: string;
  /** 32 bytes, base64url. */
  readonly publicKey: string;
}

/** The bucket. Revisions are those of the store; 0 stands for an absent key. */
export interface KeyStore {
  get(kid: string): Promise<{ readonly value: unknown; readonly revision: number } | undefined>;
  /** Writes where the record still has this revision; false where it has another. */
  put(kid: string, value: KeyRecord, revision: number): Promise<boolean>;
  /** Tells of every record that is there, resolves, and goes on telling of changes until closed. */
  watch(changed: (kid: string, value: unknown) => void): Promise<{ close(): Promise<void> }>;
}

export class KeyRegistry {
  readonly #store: KeyStore;
  readonly #keys = new Map<string, KeyRecord>();
  readonly #revokedListeners = new Set<(kid: string) => void>();
  readonly #changeListeners = new Set<() => void>();
  #watch: { close(): Promise<void> } | undefined;

  private constructor(store: KeyStore) {
    this.#store = store;
  }

  /** Opens with every stored key in memory. */
  static async open(store: KeyStore): Promise<KeyRegistry> {
    const registry = new KeyRegistry(store);
    registry.#watch = await store.watch((_, value) => registry.#learn(value));
    return registry;
  }

  /** From memory: what the gate asks for each message. */
  keyOf = (kid: string): KeyRecord | undefined => this.#keys.get(kid);

  list(): readonly KeyRecord[] {
    return [...this.#keys.values()];
  }

  /** Tells of every key that is revoked from now on. */
  onRevoked(hear: (kid: string) => void): void {
    this.#revokedListeners.add(hear);
  }

  /** Tells of every change from now on. */
  onChange(hear: () => void): void {
    this.#changeListeners.add(hear);
  }

  /**
   * Registers a key; one that is there already is left as it is, revoked ones too. Throws `bad_key`, `bad_address`,
   * and `key_taken` where the kid names another key or owner (K1).
   */
  async add(entry: KeyEntry, now: number): Promise<KeyRecord> {
    const wanted = checkEntry(entry, now);
    return this.#write(entry.kid, (stored) => {
      if (stored === undefined) return wanted;
      if (stored.publicKey === wanted.publicKey && stored.owner === wanted.owner) return stored;
      throw new FabricError(edgeErrors.key_taken, `The kid ${entry.kid} names another key`, {
        details: { kid: entry.kid, owner: stored.owner },
      });
    });
  }

  /** Revokes a key for ever (K2); twice is once. Throws `unknown_key`. */
  async revoke(kid: string, now: number): Promise<KeyRecord> {
    return this.#write(kid, (stored) => {
      if (stored === undefined) {
        throw new FabricError(edgeErrors.unknown_key, `The registry has no key ${kid}`, { details: { kid } });
      }
      return stored.status === 'revoked' ? stored : { ...stored, status: 'revoked', revokedAt: now };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch?.close();
  }

  async #write(kid: string, change: (stored: KeyRecord | undefined) => KeyRecord): Promise<KeyRecord> {
    for (let attempt = 0; attempt < WRITE_ATTEMPTS_MAX; attempt += 1) {
      const found = await this.#store.get(kid);
      // What is no record counts as the one known from before it (K1, K2), or as none and may be written over.
      const read = keyRecordSchema.safeParse(found?.value);
      const stored = read.success ? read.data : found && this.#keys.get(kid);
      const next = change(stored);
      if (next === stored || (await this.#store.put(kid, next, found?.revision ?? 0))) {
        this.#learn(next);
        return this.#keys.get(kid) ?? next;
      }
    }
    throw new FabricError(edgeErrors.key_store_failed, `The key ${kid} changed under every write`, {
      details: { kid },
    });
  }

  /** Takes what the bucket says, but never back from revoked (K2), and never another key (K1). */
  #learn(value: unknown): void {
    const read = keyRecordSchema.safeParse(value);
    if (!read.success) return;
    const known = this.#keys.get(read.data.kid);
    if (isDeepStrictEqual(known, read.data)) return;
    if (known?.status === 'revoked') return;
    if (known !== undefined && (known.publicKey !== read.data.publicKey || known.owner !== read.data.owner))
      return;
    this.#keys.set(read.data.kid, read.data);
    for (const hear of this.#changeListeners) hear();
    if (read.data.status === 'revoked') for (const hear of this.#revokedListeners) hear(read.data.kid);
  }
}

/** A bucket in memory: for tests and the simulator. */
export function memoryKeyStore(): KeyStore {
  const rows = new Map<string, { value: KeyRecord; revision: number }>();
  const watchers = new Set<(kid: string, value: unknown) => void>();
  let revision = 0;
  return {
    get: async (kid) => rows.get(kid),
    put: async (kid, value, expected) => {
      if ((rows.get(kid)?.revision ?? 0) !== expected) return false;
      revision += 1;
      rows.set(kid, { value, revision });
      for (const changed of watchers) changed(kid, value);
      return true;
    },
    watch: async (changed) => {
      for (const [kid, row] of rows) changed(kid, row.value);
      watchers.add(changed);
      return {
        close: async () => {
          watchers.delete(changed);
        },
      };
    },
  };
}

function checkEntry(entry: KeyEntry, now: number): KeyRecord {
  const bytes = Buffer.from(entry.publicKey, 'base64url');
  if (
    !KID.test(entry.kid) ||
    bytes.byteLength !== KEY_BYTES ||
    bytes.toString('base64url') !== entry.publicKey
  ) {
    throw new FabricError(
      edgeErrors.bad_key,
      `The key ${entry.kid} is not an Ed25519 public key in base64url`,
      {
        details: { kid: entry.kid, owner: entry.owner },
      },
    );
  }
  const { address } = parseAddress(entry.owner);
  return { kid: entry.kid, publicKey: entry.publicKey, owner: address, status: 'active', addedAt: now };
}
