export interface LeaseRow {
  readonly value: string;
  readonly revision: number;
}

/** Compare-and-swap on keys with a TTL. Revisions are fencing tokens: each write of a key has a higher one. */
export interface LeaseKeys {
  /** Writes where the key is absent; the revision, or undefined where another holds it. Rejects when unclear. */
  create(key: string, value: string, ttlMs: number): Promise<number | undefined>;
  /** Writes where the key still has this revision, with a new TTL; undefined where it has not. Rejects when unclear. */
  update(key: string, value: string, revision: number, ttlMs: number): Promise<number | undefined>;
  /** Removes where the key still has this revision; nothing otherwise. */
  remove(key: string, revision: number): Promise<void>;
  get(key: string): Promise<LeaseRow | undefined>;
}

/** The bucket under leases, which also tells what changes. */
export interface LeaseStore extends LeaseKeys {
  /** Tells that the key was removed or expired, from now on until closed. */
  watchFreed(key: string, freed: () => void): Promise<{ close(): Promise<void> }>;
  /**
   * Tells every row whose key begins with `prefix` (which ends in a dot), then each change, undefined for a row that
   * went, until closed. Resolves once every present row was told.
   */
  watch(
    prefix: string,
    heard: (key: string, row: LeaseRow | undefined) => void,
  ): Promise<{ close(): Promise<void> }>;
}
