/** What commands say to the registry. */
import { type ActingOptions, type OpenDesk, withDesk } from '#actors/coordinator/cli/with-desk';
import type { Run } from '#runtime/cli/command';
import { Refused } from '#runtime/cli/exit-codes';
import { FabricError } from '#schemas/fabric-error';
import { REGISTRY_DEFAULT, REGISTRY_TYPE, type RegistryReply, type RegistryView } from '#schemas/worker';
import { registryErrors } from '../registry/errors.ts';

const REGISTRY = `${REGISTRY_TYPE}/${REGISTRY_DEFAULT}`;
/** The realm has no such kind. */
const ABSENT = new Set(['unknown_kind', 'unknown_actor']);

export interface RegistryDesk {
  readonly desk: OpenDesk;
  get(): Promise<RegistryView>;
  /** Throws `registration_refused`. */
  say(event: {
    readonly type: string;
    readonly [field: string]: unknown;
  }): Promise<RegistryReply & { readonly accepted: true }>;
}

export async function withRegistry<T>(
  run: Run<ActingOptions>,
  use: (registry: RegistryDesk) => Promise<T>,
): Promise<T> {
  return await withDesk(run, async (desk) => {
    const ask = async (event: { readonly type: string }): Promise<unknown> => {
      try {
        return (await desk.clientOf(desk.as).ask(REGISTRY, event)).reply;
      } catch (cause) {
        if (!(cause instanceof FabricError) || !ABSENT.has(cause.code)) throw cause;
        throw new FabricError(registryErrors.no_registry, 'This realm has no registry', { cause });
      }
    };
    return await use({
      desk,
      get: async () => (await ask({ type: 'registry.get' })) as RegistryView,
      say: async (event) => {
        const reply = (await ask(event)) as RegistryReply;
        if (reply.accepted) return reply;
        const { code, reason } = reply;
        throw new Refused(
          new FabricError(registryErrors.registration_refused, reason, { details: { code } }),
        );
      },
    });
  });
}
