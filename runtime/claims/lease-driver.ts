/**
 * Driver `lease`: an actor that was claimed waits for the end of the lease. The wait is an effect of the log, so whoever
 * owns the shard after a crash goes on waiting.
 */
import { z } from 'zod';
import type { Subjects } from '#runtime/bus/subjects';
import type { Driver, DriverRealm } from '#runtime/effects/driver';
import { FabricError } from '#schemas/fabric-error';
import { claimErrors } from './errors.ts';
import { readClaim } from './lease.ts';
import { followLeases } from './lease-bucket.ts';
import { openLeaseDoor } from './lease-door.ts';
import { LeaseEnds } from './lease-ends.ts';

const inputSchema = z.object({
  lease: z.string().min(1).max(64),
  ms: z.number().min(1).max(86_400_000),
});

export function leaseDriver(): Driver {
  let opened: { readonly subjects: Subjects; readonly ends: LeaseEnds } | undefined;
  return {
    name: 'lease',
    waits: true,
    validate: (input) => void inputSchema.parse(input),
    async open(realm: DriverRealm) {
      const ends = new LeaseEnds(realm.clock);
      opened = { subjects: realm.subjects, ends };
      const bucket = await followLeases(realm, {
        row: (key, value) => ends.hear(key, value === undefined ? undefined : leaseOf(value)),
        lost: () => ends.forgetRows(),
      });
      const door = await openLeaseDoor(realm);
      return {
        async [Symbol.asyncDispose]() {
          await door[Symbol.asyncDispose]();
          await bucket[Symbol.asyncDispose]();
        },
      };
    },
    async run({ actor, input, signal }) {
      if (opened === undefined) {
        throw new FabricError(claimErrors.leases_unopened, 'This node follows no leases');
      }
      const { lease, ms } = inputSchema.parse(input);
      return { why: await opened.ends.wait(opened.subjects.leaseKey(actor), lease, ms, signal) };
    },
  };
}

/** What a row names; a row that others wrote by hand may name nothing. */
function leaseOf(value: string): string {
  try {
    return String(readClaim({ value }).nonce);
  } catch {
    return '';
  }
}
