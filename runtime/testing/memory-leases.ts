/** Leases in memory, on any clock. */
import type { LeaseRow, LeaseStore } from '#runtime/claims/lease-store';
import type { Clock } from '#runtime/shard/ports';

interface Held {
  readonly value: string;
  readonly revision: number;
  readonly expiry: unknown;
}

/** A lease store with the guarantees of the real one: revisions only grow, entries end with their TTL. */
export function memoryLeases(clock: Clock): LeaseStore {
  const held = new Map<string, Held>();
  const watchers = new Map<string, Set<() => void>>();
  const listeners = new Set<(key: string, row: LeaseRow | undefined) => void>();
  let revision = 0;

  function free(key: string): void {
    const lease = held.get(key);
    if (lease === undefined) return;
    clock.clearTimer(lease.expiry);
    held.delete(key);
    tell(key, undefined);
    for (const freed of watchers.get(key) ?? []) freed();
  }

  /** From a task of its own, as from a socket. */
  function tell(key: string, row: LeaseRow | undefined): void {
    for (const heard of listeners) queueMicrotask(() => void (listeners.has(heard) && heard(key, row)));
  }

  function write(key: string, value: string, ttlMs: number): number {
    const old = held.get(key);
    if (old !== undefined) clock.clearTimer(old.expiry);
    revision += 1;
    held.set(key, { value, revision, expiry: clock.setTimer(() => free(key), ttlMs) });
    tell(key, { value, revision });
    return revision;
  }

  return {
    async create(key, value, ttlMs) {
      return held.has(key) ? undefined : write(key, value, ttlMs);
    },
    async update(key, value, expected, ttlMs) {
      return held.get(key)?.revision === expected ? write(key, value, ttlMs) : undefined;
    },
    async remove(key, expected) {
      if (held.get(key)?.revision === expected) free(key);
    },
    async get(key) {
      const lease = held.get(key);
      return lease === undefined ? undefined : { value: lease.value, revision: lease.revision };
    },
    async watchFreed(key, freed) {
      const set = watchers.get(key) ?? new Set();
      watchers.set(key, set);
      set.add(freed);
      return {
        async close() {
          set.delete(freed);
        },
      };
    },
    async watch(prefix, heard) {
      const listener = (key: string, row: LeaseRow | undefined): void => {
        if (key.startsWith(prefix)) heard(key, row);
      };
      for (const [key, { value, revision: at }] of held) listener(key, { value, revision: at });
      listeners.add(listener);
      return {
        async close() {
          listeners.delete(listener);
        },
      };
    },
  };
}
