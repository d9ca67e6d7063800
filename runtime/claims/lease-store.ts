/** The compare-and-swap bucket under leases. Revisions are fencing tokens: each write of a key has a higher one. */
export interface LeaseStore {
  /** Writes where the key is absent; the revision, or undefined where another holds it. Rejects when unclear. */
  create(key: string, value: string, ttlMs: number): Promise<number | undefined>;
  /** Writes where the key still has this revision, with a new TTL; undefined where it has not. Rejects when unclear. */
  update(key: string, value: string, revision: number, ttlMs: number): Promise<number | undefined>;
  /** Removes where the key still has this revision; nothing otherwise. */
  remove(key: string, revision: number): Promise<void>;
  get(key: string): Promise<{ readonly value: string; readonly revision: number } | undefined>;
  /** Tells that the key was removed or expired, from now on until closed. */
  watchFreed(key: string, freed: () => void): Promise<{ close(): Promise<void> }>;
}
