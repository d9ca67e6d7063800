import { setTimeout as pause } from 'node:timers/promises';

/** Asks again every so often without giving up what was asked before; the first answer counts. Rejects like the first when all fail. */
export async function soonest<T>(ask: () => Promise<T>, everyMs: number, times: number): Promise<T> {
  const over = new AbortController();
  const asked = Array.from({ length: times }, async (_, n) => {
    if (n > 0) await pause(n * everyMs, undefined, { signal: over.signal });
    return await ask();
  });
  try {
    return await Promise.any(asked);
  } catch (thrown) {
    throw thrown instanceof AggregateError ? thrown.errors[0] : thrown;
  } finally {
    over.abort();
  }
}
