/** Components that a node keeps: each let in once, bounded, and what the gate refused not looked at again. */
import test from 'ava';
import { KnownComponents } from '#actors/chassis/known-components';
import { gateErrors } from '#runtime/sandbox/gate/errors';
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import { jailErrors } from '#runtime/sandbox/jail/errors';
import { VirtualClock } from '#runtime/testing/virtual-clock';
import { FabricError } from '#schemas/fabric-error';

const MIB = 2 ** 20;

function opened(load: (sha256: string) => Promise<GatedComponent>) {
  const loads: string[] = [];
  const clock = new VirtualClock(0);
  const known = new KnownComponents(async (sha256) => {
    loads.push(sha256);
    return await load(sha256);
  }, clock);
  return { known, loads, clock };
}

const sized = (bytes: number) => ({ glue: '', stats: { gatedBytes: bytes } }) as GatedComponent;

test('a component is let in once however many wait, and large ones are not kept without bound', async (t) => {
  const { known, loads } = opened(async () => sized(100 * MIB));
  await Promise.all(['a', 'a', 'a'].map((sha256) => known.get(sha256)));
  t.deepEqual(loads, ['a']);
  for (const sha256 of ['b', 'c', 'c', 'b', 'a']) await known.get(sha256);
  t.deepEqual(loads, ['a', 'b', 'c', 'a'], 'two of them have 200 MiB');
});

test('what the gate refused is refused for a minute; what failed otherwise is tried again', async (t) => {
  let error = new FabricError(jailErrors.component_gate_failed, 'it took too long');
  const { known, loads, clock } = opened(() => Promise.reject(error));
  for (let n = 0; n < 3; n += 1) await t.throwsAsync(known.get('slow'), { code: error.code });
  t.is(loads.length, 1);
  await clock.advance(60_000);
  await t.throwsAsync(known.get('slow'), { code: error.code });
  t.is(loads.length, 2);
  for (const kind of [gateErrors.component_gate_spent, jailErrors.jail_busy]) {
    error = new FabricError(kind, 'not its fault');
    for (let n = 0; n < 2; n += 1) await t.throwsAsync(known.get(kind.code), { code: error.code });
  }
  t.is(loads.length, 6);
});
