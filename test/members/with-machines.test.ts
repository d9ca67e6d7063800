/** Machines are there before a log is read that may name them, and are not loaded for a log that is all this owner's. */
import test from 'ava';
import { systemClock } from '#runtime/bus/system';
import { withMachines } from '#runtime/node/with-machines';
import { MemoryBus } from '#runtime/testing/memory-bus';

test('a log that somebody else began brings every machine, one that began here none', async (t) => {
  let provided = 0;
  const registry = {
    async provide() {
      provided += 1;
    },
  };
  const log = new MemoryBus({ shards: 1, clock: systemClock }).log(0);
  const first = withMachines(registry, log);
  t.is(await first.head(), undefined);
  const stored = await first.append(new Uint8Array([1]), 0);
  t.is(stored.kind, 'appended');
  t.truthy(await first.head());
  t.is(provided, 0);
  const next = withMachines(registry, log);
  t.truthy(await next.head());
  t.is(provided, 1);
});
