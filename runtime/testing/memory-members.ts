/** Rows of nodes in memory, on any clock. */
import type { MemberStore } from '#runtime/members/store';
import type { Clock } from '#runtime/shard/ports';

interface Row {
  readonly value: string;
  readonly expiry: unknown;
}

/** A member store with the guarantees of the real one: entries end with their TTL, watchers hear of each change. */
export function memoryMembers(clock: Clock): MemberStore {
  const rows = new Map<string, Row>();
  const listeners = new Set<(key: string, value: string | undefined) => void>();

  /** From a task of its own, as from a socket. */
  function tell(key: string, value: string | undefined): void {
    for (const heard of listeners) queueMicrotask(() => void (listeners.has(heard) && heard(key, value)));
  }

  function free(key: string): void {
    const row = rows.get(key);
    if (row === undefined) return;
    clock.clearTimer(row.expiry);
    rows.delete(key);
    tell(key, undefined);
  }

  return {
    async put(key, value, ttlMs) {
      const old = rows.get(key);
      if (old?.expiry !== undefined) clock.clearTimer(old.expiry);
      rows.set(key, {
        value,
        expiry: ttlMs === undefined ? undefined : clock.setTimer(() => free(key), ttlMs),
      });
      tell(key, value);
    },
    async remove(key) {
      free(key);
    },
    get: async (key) => rows.get(key)?.value,
    async watch(heard) {
      for (const [key, { value }] of rows) heard(key, value);
      listeners.add(heard);
      return {
        async close() {
          listeners.delete(heard);
        },
      };
    },
  };
}
