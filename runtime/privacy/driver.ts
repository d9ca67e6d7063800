/** Driver `privacy`: how a redaction, which is an entry of the log, reaches the bucket of data keys after its commit. */
import type { Driver } from '#runtime/effects/driver';
import { FabricError } from '#schemas/fabric-error';
import { PRIVACY_DRIVER, REDACTION_TYPE, type RedactionOrder, redactionOrderSchema } from '#schemas/privacy';
import type { DataKeys } from './data-keys.ts';
import { privacyErrors } from './errors.ts';

/** `{op: 'destroy' | 'readmit', subject}`; both may be run again under the same key and end the same. */
export function privacyDriver(keys: () => Promise<DataKeys>): Driver {
  return {
    name: PRIVACY_DRIVER,
    run: async ({ actor, key, input }) => {
      const { op, subject } = orderOf(actor, input);
      const dataKeys = await keys();
      if (op === 'destroy') return await dataKeys.destroy(subject, key);
      await dataKeys.readmit(subject);
      return {};
    },
  };
}

function orderOf(actor: string, input: unknown): RedactionOrder {
  const order = redactionOrderSchema.safeParse(input);
  if (order.success && actor.startsWith(`${REDACTION_TYPE}/`)) return order.data;
  throw new FabricError(privacyErrors.privacy_driver_misused, `${actor} has no business with data keys`);
}
