/** The real clock and randomness. */
import { nuid } from '@nats-io/nats-core';
import type { Clock, Random } from '#runtime/shard/ports';

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer: (fn, delayMs) => setTimeout(fn, delayMs),
  clearTimer: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

export const systemRandom: Random = {
  next: () => Math.random(),
  id: () => nuid.next(),
};
