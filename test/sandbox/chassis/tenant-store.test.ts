/** S1–S3: what a tenant keeps is bounded over all of its runs, whoever writes beside it. */
import { Kvm } from '@nats-io/kv';
import test from 'ava';
import { TenantStore } from '#actors/chassis/tenant-store';
import { TestServer } from '../../rig/nats.ts';

const FULL = { code: 'sandbox_store_full' };

test('what a tenant keeps is bounded, over all its runs and on every node', async (t) => {
  await using server = await TestServer.start();
  const kvm = new Kvm(await server.connect());
  const kv = await kvm.create('kept', { history: 1 });
  const [one, other] = [new TenantStore(kv, 1_000), new TenantStore(await kvm.open('kept'), 1_000)];
  const bytes = (length: number) => new Uint8Array(length).fill(7);

  await one.put('a', 'k1', bytes(498));
  await other.put('a', 'k2', bytes(498));
  await t.throwsAsync(one.put('a', 'k', bytes(0)), FULL, 'a key is not free');
  t.is(await one.get('a', 'k'), undefined);
  await t.throwsAsync(other.put('a', 'k1', bytes(499)), FULL);
  t.is((await one.get('a', 'k1'))?.length, 498, 'what was there stays');

  await one.put('b', 'k1', bytes(900));
  await one.put('a', 'k1', bytes(98));
  await other.put('a', 'k3', bytes(398));
  await t.throwsAsync(one.put('a', 'k4', bytes(0)), FULL);

  // Two nodes over the same keys: neither the account nor a value is lost.
  const lengths = [10, 40, 20, 30];
  await Promise.all(
    lengths.flatMap((length, n) => [
      one.put('c', 'same', bytes(length)),
      other.put('c', `own${n}`, bytes(length)),
    ]),
  );
  const same = (await one.get('c', 'same'))?.length ?? 0;
  const kept = 'same'.length + same + lengths.reduce((sum, length) => sum + 'own0'.length + length, 0);
  await t.throwsAsync(one.put('c', 'z', bytes(1_000 - kept)), FULL);
  await one.put('c', 'z', bytes(1_000 - kept - 1));
});
