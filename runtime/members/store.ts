/** Where nodes tell of themselves: rows of text by key, some of which end with a time to live. */
export interface MemberStore {
  /** Writes a row, whatever stood there; without `ttlMs` it stays. Rejects when that is not certain. */
  put(key: string, value: string, ttlMs?: number): Promise<void>;
  remove(key: string): Promise<void>;
  get(key: string): Promise<string | undefined>;
  /** Tells every row, then each change, undefined for a row that went. Resolves once every present row was told. */
  watch(heard: (key: string, value: string | undefined) => void): Promise<{ close(): Promise<void> }>;
}
