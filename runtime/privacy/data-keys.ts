/**
 * The data keys of a realm: one for each subject, made on first use, wrapped by the realm's privacy key, kept in a
 * bucket that every node watches.
 *
 * K1  A subject has one key at a time, whichever nodes make it at once: the first write counts, all use that one.
 * K2  A destroyed key never comes back: its row says so for ever, and only a readmission puts a new key in its place.
 * K3  Once `destroy` has resolved, no stored revision of the row holds the key any more, wrapped or not. It may be
 *     called again at any point after a crash, and ends the same.
 * K4  A node forgets a key as soon as the bucket tells that it was destroyed; what is in memory is bounded.
 */
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import { privacyErrors } from './errors.ts';
import { type DataKey, KEY_BYTES, unwrap, wrap } from './seal.ts';

/** Keys in memory: 300 bytes each. */
const CACHED_MAX = 50_000;
/** Writes that lost a race are tried again on the newer row this often. */
const WRITE_ATTEMPTS_MAX = 8;
const KID_BYTES = 12;

const rowSchema = z.discriminatedUnion('state', [
  z.strictObject({
    state: z.literal('active'),
    subject: z.string(),
    /** From 1; one more after each readmission. */
    generation: z.int(),
    kid: z.string(),
    wrapped: z.string(),
    /** ms since the epoch. */
    at: z.number(),
    /** The order that destroyed the key before this one. */
    after: z.string().optional(),
  }),
  z.strictObject({
    state: z.literal('redacted'),
    subject: z.string(),
    generation: z.int(),
    at: z.number(),
    /** Effect key of the order to destroy. */
    by: z.string(),
  }),
]);

export type KeyRow = Readonly<z.infer<typeof rowSchema>>;

/** The bucket. Revisions grow; 0 stands for an absent row. Rejects where the bucket does not answer. */
export interface KeyRows {
  get(subject: string): Promise<{ readonly row: unknown; readonly revision: number } | undefined>;
  /** Writes where the row still has this revision; false where it has another. */
  put(subject: string, row: KeyRow, revision: number): Promise<boolean>;
  /** Overwrites on disk and removes every revision of the row before this one; how many there were. */
  erase(subject: string, before: number): Promise<number>;
  /** Tells of every change from now on, until closed; and when changes may be missed for a while. */
  watch(
    changed: (row: unknown, revision: number) => void,
    lost: () => void,
  ): Promise<{ close(): Promise<void> }>;
  /** The realm's mark of its privacy key: written once, read ever after; only read where none is given. */
  check(mark: string | undefined): Promise<string | undefined>;
}

/** What a node knows of a subject. */
export type Known =
  | ({ readonly state: 'active'; readonly revision: number } & DataKey)
  | { readonly state: 'redacted'; readonly revision: number; readonly at: number };

export interface DataKeysOptions {
  readonly rows: KeyRows;
  readonly realm: string;
  /** Undefined where the node, or the command, does not have it. */
  readonly privacyKey: KeyObject | undefined;
  /** ms since the epoch. */
  readonly now: () => number;
}

export class DataKeys {
  readonly #rows: KeyRows;
  readonly #realm: string;
  readonly #wrapping: KeyObject | undefined;
  readonly #now: () => number;
  /** Least recently used first. */
  readonly #cache = new Map<string, Known>();
  readonly #loading = new Map<string, Promise<Known | undefined>>();
  /** Newest revision heard of subjects that are being loaded: what is read meanwhile may be older. */
  readonly #heard = new Map<string, number>();
  #watch: { close(): Promise<void> } | undefined;

  private constructor({ rows, realm, privacyKey, now }: DataKeysOptions) {
    this.#rows = rows;
    this.#realm = realm;
    this.#wrapping = privacyKey;
    this.#now = now;
  }

  /**
   * Opens and watches. Without the privacy key only `stateOf` and `destroy` work. Throws
   * `privacy_key_mismatch` where the realm was made with another key.
   */
  static async open({ rows, realm, privacyKey, now }: DataKeysOptions): Promise<DataKeys> {
    const keys = new DataKeys({ rows, realm, privacyKey, now });
    if (privacyKey !== undefined) {
      const mark = createHmac('sha256', privacyKey)
        .update(`infrafabric privacy key of ${realm}`)
        .digest('base64url');
      const stored = await rows.check(mark);
      if (!isSame(stored ?? '', mark)) {
        throw new FabricError(
          privacyErrors.privacy_key_mismatch,
          'keys/privacy.key of this data folder is not the privacy key of the realm',
        );
      }
    }
    keys.#watch = await rows.watch(
      (row, revision) => keys.#hear(row, revision),
      // K4: who cannot hear relies on nothing that he heard before.
      () => keys.#cache.clear(),
    );
    return keys;
  }

  /** True where the privacy key is at hand. */
  get canSeal(): boolean {
    return this.#wrapping !== undefined;
  }

  /** From memory, without a wait; undefined where it has to be loaded. */
  cached(subject: string): Known | undefined {
    const known = this.#cache.get(subject);
    if (known === undefined) return undefined;
    this.#cache.delete(subject);
    this.#cache.set(subject, known);
    return known;
  }

  /** The subject's key, made where there is none (K1). Throws `privacy_unavailable`, `privacy_key_mismatch`. */
  async ensure(subject: string): Promise<Known> {
    for (let attempt = 0; attempt < WRITE_ATTEMPTS_MAX; attempt += 1) {
      const known = await this.find(subject);
      if (known !== undefined) return known;
      await this.#put(subject, this.#fresh(subject, 1), 0);
    }
    throw raced(subject);
  }

  /** What is known of a subject; undefined where nothing was ever sealed for it. */
  find(subject: string): Promise<Known | undefined> {
    const known = this.cached(subject);
    if (known !== undefined) return Promise.resolve(known);
    const loading = this.#loading.get(subject) ?? this.#load(subject);
    this.#loading.set(subject, loading);
    return loading;
  }

  /** The row as it is stored: needs no privacy key. */
  async stateOf(subject: string): Promise<KeyRow | undefined> {
    return (await this.#read(subject))?.row;
  }

  /** Destroys the key for good (K3). `by` names the order: the same order again does no more. Gives when it was. */
  async destroy(subject: string, by: string): Promise<{ readonly at: number; readonly erased: number }> {
    const now = this.#now();
    for (let attempt = 0; attempt < WRITE_ATTEMPTS_MAX; attempt += 1) {
      const found = await this.#read(subject);
      // An order that was carried out before a readmission says nothing of the key made after it.
      if (found?.row.state === 'active' && found.row.after === by) return { at: now, erased: 0 };
      if (found?.row.state === 'redacted') {
        const erased = await this.#guarded(() => this.#rows.erase(subject, found.revision));
        this.#cache.set(subject, { state: 'redacted', revision: found.revision, at: found.row.at });
        return { at: found.row.at, erased };
      }
      const generation = found?.row.generation ?? 0;
      // The tombstone first: a crash before the erasure leaves what finds it again.
      await this.#put(subject, { state: 'redacted', subject, generation, at: now, by }, found?.revision ?? 0);
    }
    throw raced(subject);
  }

  /** Lets a redacted subject have data again, under a new key; what was redacted stays so (K2). */
  async readmit(subject: string): Promise<void> {
    for (let attempt = 0; attempt < WRITE_ATTEMPTS_MAX; attempt += 1) {
      const found = await this.#read(subject);
      if (found === undefined || found.row.state === 'active') return;
      const row = { ...this.#fresh(subject, found.row.generation + 1), after: found.row.by };
      if (await this.#put(subject, row, found.revision)) return;
    }
    throw raced(subject);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch?.close();
    this.#cache.clear();
  }

  async #load(subject: string): Promise<Known | undefined> {
    try {
      for (;;) {
        const found = await this.#read(subject);
        if (found === undefined) return undefined;
        // K4: the bucket told of a newer row while this one was read.
        if ((this.#heard.get(subject) ?? 0) > found.revision) continue;
        return this.#learn(found.row, found.revision);
      }
    } finally {
      this.#loading.delete(subject);
      this.#heard.delete(subject);
    }
  }

  async #read(subject: string): Promise<{ readonly row: KeyRow; readonly revision: number } | undefined> {
    const found = await this.#guarded(() => this.#rows.get(subject));
    const row = rowSchema.safeParse(found?.row);
    // What stands there and is no row counts as none and may be written over.
    return found === undefined || !row.success ? undefined : { row: row.data, revision: found.revision };
  }

  async #put(subject: string, row: KeyRow, revision: number): Promise<boolean> {
    return await this.#guarded(() => this.#rows.put(subject, row, revision));
  }

  async #guarded<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (cause) {
      if (cause instanceof FabricError) throw cause;
      throw new FabricError(privacyErrors.privacy_unavailable, 'The bucket of data keys does not answer', {
        cause,
      });
    }
  }

  /** K4 */
  #hear(value: unknown, revision: number): void {
    const { success, data: row } = rowSchema.safeParse(value);
    if (!success) return;
    if (this.#loading.has(row.subject)) this.#heard.set(row.subject, revision);
    const known = this.#cache.get(row.subject);
    if (known === undefined || known.revision >= revision) return;
    // Read anew when it is wanted: whatever it is now, it is no longer this.
    this.#cache.delete(row.subject);
  }

  #learn(row: KeyRow, revision: number): Known {
    const known: Known =
      row.state === 'redacted'
        ? { state: 'redacted', revision, at: row.at }
        : { state: 'active', revision, kid: row.kid, key: this.#unwrapped(row) };
    this.#cache.delete(row.subject);
    this.#cache.set(row.subject, known);
    if (this.#cache.size > CACHED_MAX) {
      const [oldest] = this.#cache.keys();
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    return known;
  }

  #fresh(subject: string, generation: number): Extract<KeyRow, { state: 'active' }> {
    const kid = randomBytes(KID_BYTES).toString('base64url');
    const wrapped = wrap(randomBytes(KEY_BYTES), this.#privacyKey(), contextOf(this.#realm, subject, kid));
    return { state: 'active', subject, generation, kid, wrapped, at: this.#now() };
  }

  #unwrapped(row: Extract<KeyRow, { state: 'active' }>): KeyObject {
    return unwrapRow(row, this.#realm, this.#privacyKey());
  }

  #privacyKey(): KeyObject {
    if (this.#wrapping !== undefined) return this.#wrapping;
    throw new FabricError(privacyErrors.privacy_key_mismatch, 'The privacy key of the realm is not at hand');
  }
}

/** The data key of a row. Throws `privacy_key_mismatch`. */
export function unwrapRow(
  { subject, kid, wrapped }: Extract<KeyRow, { state: 'active' }>,
  realm: string,
  privacyKey: KeyObject,
): KeyObject {
  const bytes = unwrap(wrapped, privacyKey, contextOf(realm, subject, kid));
  if (bytes !== undefined) return createSecretKey(bytes);
  throw new FabricError(
    privacyErrors.privacy_key_mismatch,
    'A data key was wrapped with another privacy key',
    { details: { subject, kid } },
  );
}

/** What a row from the bucket is; undefined for what is none. */
export function keyRowOf(value: unknown): KeyRow | undefined {
  return rowSchema.safeParse(value).data;
}

function contextOf(realm: string, subject: string, kid: string): string {
  return JSON.stringify(['infrafabric data key', realm, subject, kid]);
}

function raced(subject: string): FabricError {
  return new FabricError(privacyErrors.privacy_unavailable, 'The data key changed under every write', {
    details: { subject },
  });
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
