/**
 * What guests keep, by tenant.
 *
 * S1  A tenant's keys lie under its digest, whatever its name is made of: no other tenant names them.
 * S2  What a tenant keeps is bounded over all of its runs. Its account is raised before a value is written and lowered behind
 *     it: a node that dies in between has counted too much, never too little.
 * S3  Account and value are written on the revision that was read: two runs, here or on two nodes, undo nothing of each
 *     other's.
 */
import { hash } from 'node:crypto';
import { JetStreamApiError } from '@nats-io/jetstream';
import type { KV, KvEntry } from '@nats-io/kv';
import { FabricError } from '#schemas/fabric-error';
import { formatBytes } from '#schemas/units';
import { chassisErrors } from './errors.ts';

/** Of all tenants alike: keys and values together. */
export const TENANT_BYTES_MAX = 64 * 2 ** 20;
/** Each attempt that is in vain is one that somebody else made. */
const ATTEMPTS_MAX = 50;
const WRONG_LAST_SEQUENCE = [10_071, 10_164];

export class TenantStore {
  readonly #kv: Pick<KV, 'get' | 'put'>;
  readonly #bytesMax: number;

  constructor(kv: Pick<KV, 'get' | 'put'>, bytesMax = TENANT_BYTES_MAX) {
    this.#kv = kv;
    this.#bytesMax = bytesMax;
  }

  async get(tenant: string, key: string): Promise<Uint8Array | undefined> {
    return valueIn(await this.#kv.get(keyOf(tenant, key)));
  }

  /** Throws `sandbox_store_full`, and `sandbox_world_failed` where others write the same all the time. */
  async put(tenant: string, key: string, value: Uint8Array): Promise<void> {
    const place = keyOf(tenant, key);
    await attempts(place, async () => {
      const entry = await this.#kv.get(place);
      const before = valueIn(entry);
      const growth = value.length + (before === undefined ? key.length : -before.length);
      if (growth > 0) await this.#charge(tenant, growth); // S2
      const isWritten = await this.#write(place, value, entry);
      const tooMuch = isWritten ? Math.min(growth, 0) : -Math.max(growth, 0);
      if (tooMuch < 0) await this.#charge(tenant, tooMuch);
      return isWritten;
    });
  }

  async #charge(tenant: string, bytes: number): Promise<void> {
    const place = digestOf(tenant);
    await attempts(place, async () => {
      const entry = await this.#kv.get(place);
      const kept = Math.max(0, Number(new TextDecoder().decode(valueIn(entry))) + bytes);
      if (bytes > 0 && kept > this.#bytesMax) {
        throw new FabricError(
          chassisErrors.sandbox_store_full,
          `${tenant} keeps ${formatBytes(kept - bytes)} of ${formatBytes(this.#bytesMax)}, and this is ${formatBytes(bytes)} more`,
        );
      }
      return await this.#write(place, new TextEncoder().encode(String(kept)), entry);
    });
  }

  /** S3: false where somebody else wrote meanwhile. */
  async #write(place: string, value: Uint8Array, over: KvEntry | null): Promise<boolean> {
    try {
      await this.#kv.put(place, value, { previousSeq: over?.revision ?? 0 });
      return true;
    } catch (thrown) {
      if (thrown instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.includes(thrown.code)) return false;
      throw thrown;
    }
  }
}

async function attempts(place: string, attempt: () => Promise<boolean>): Promise<void> {
  for (let count = 0; count < ATTEMPTS_MAX; count += 1) if (await attempt()) return;
  throw new FabricError(
    chassisErrors.sandbox_world_failed,
    `${place} was written by others ${ATTEMPTS_MAX} times meanwhile`,
  );
}

function valueIn(entry: KvEntry | null): Uint8Array | undefined {
  return entry === null || entry.operation !== 'PUT' ? undefined : entry.value;
}

/** S1. A tenant's account lies at the digest itself, where no key of a guest can. */
function keyOf(tenant: string, key: string): string {
  return `${digestOf(tenant)}.${key}`;
}

function digestOf(tenant: string): string {
  return hash('sha256', tenant).slice(0, 32);
}
