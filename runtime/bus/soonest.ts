import { setTimeout as pause } from 'node:timers/promises';

/**
 * Asks again every so often, at most `times`, without giving up what was asked before; the first answer counts. Rejects
 * like the first when all fail. Nothing more is asked once `until` is aborted.
 */
export async function soonest<T>(
  ask: () => Promise<T>,
  everyMs: number,
  times: number,
  until?: AbortSignal,
): Promise<T> {
  const over = new AbortController();
  const stop = until === undefined ? over.signal : AbortSignal.any([over.signal, until]);
  const asked: Promise<T>[] = [];
  const found = Promise.withResolvers<T>();
  found.promise.finally(() => over.abort()).catch(() => undefined);
  for (let n = 0; n < times && (n === 0 || !stop.aborted); n += 1) {
    const asking = ask();
    asking.then(found.resolve, () => undefined);
    asked.push(asking);
    if (n + 1 < times) await pause(everyMs, undefined, { signal: stop }).catch(() => undefined);
  }
  Promise.any(asked).catch((thrown: AggregateError) => found.reject(thrown.errors[0]));
  return await found.promise;
}
