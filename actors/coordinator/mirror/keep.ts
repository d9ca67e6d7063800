/** A mirror at work: looks when something happened, and commits no faster than it may. */
import { setTimeout as pause } from 'node:timers/promises';
import { toWireError, type WireError } from '#schemas/fabric-error';
import type { Mirrored } from './mirror.ts';

export interface KeepOptions {
  /** At least so long between two looks. */
  readonly everyMs: number;
  /** Live events may be lost: a look without one after this. */
  readonly resyncMs: number;
  readonly signal: AbortSignal;
  /** Resolves when something happened; called anew after each time. */
  readonly happened: (signal: AbortSignal) => Promise<void>;
  readonly mirror: () => Promise<Mirrored>;
  readonly told: (done: Mirrored | WireError) => void;
}

/** Until the signal. What fails is told and tried again with the next look. */
export async function keepMirrored({
  everyMs,
  resyncMs,
  signal,
  happened,
  mirror,
  told,
}: KeepOptions): Promise<void> {
  while (!signal.aborted) {
    // Asked before the look: what happens during it is not missed.
    const turn = new AbortController();
    const either = AbortSignal.any([signal, turn.signal]);
    const next = happened(either);
    try {
      told(await mirror());
    } catch (thrown) {
      told(toWireError(thrown));
    }
    const waits = [next, pause(resyncMs, undefined, { signal: either })].map(quietly);
    await Promise.all([Promise.race(waits), quietly(pause(everyMs, undefined, { signal }))]);
    turn.abort();
  }
}

/** Ends with the promise, and also where the signal ended it. */
function quietly(wait: Promise<unknown>): Promise<unknown> {
  return wait.catch((thrown: unknown) => {
    if (!(thrown instanceof Error) || thrown.name !== 'AbortError') throw thrown;
  });
}
