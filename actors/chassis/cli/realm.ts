/** What the commands share that speak with the chassis of a realm. */
import { type ActingOptions, type OpenDesk, withDesk } from '#actors/coordinator/cli/with-desk';
import type { Run } from '#runtime/cli/command';
import { Refused } from '#runtime/cli/exit-codes';
import type { BlobStore } from '#runtime/shard/ports';
import { type ErrorKind, FabricError } from '#schemas/fabric-error';
import { SANDBOX_TYPE, type SandboxView, sandboxErrors } from '#schemas/sandbox';
import { COMPONENT_TYPE, type ComponentView, componentErrors } from '#schemas/service-contract';
import { chassisBlobs } from '../blobs.ts';
import { chassisErrors } from '../errors.ts';

/** The realm has no such kind. */
const ABSENT = new Set(['unknown_kind', 'unknown_actor']);

/** What helps against a refusal is told by who refuses. */
const REFUSALS: Readonly<Record<string, ErrorKind>> = { ...componentErrors, ...sandboxErrors };

type Saying = { readonly type: string; readonly [field: string]: unknown };
type Reply =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly code: string; readonly reason: string };

export interface ChassisDesk {
  readonly desk: OpenDesk;
  blobs(): Promise<BlobStore>;
  component(name: string): Promise<ComponentView>;
  task(id: string): Promise<SandboxView>;
  /** Throws `chassis_refused`. */
  say<R extends Reply>(address: string, event: Saying): Promise<Extract<R, { readonly accepted: true }>>;
}

export async function withChassis<T>(
  run: Run<ActingOptions>,
  use: (chassis: ChassisDesk) => Promise<T>,
): Promise<T> {
  return await withDesk(run, async (desk) => {
    const ask = async (address: string, event: Saying): Promise<unknown> => {
      try {
        return (await desk.clientOf(desk.as).ask(address, event)).reply;
      } catch (cause) {
        if (!(cause instanceof FabricError) || !ABSENT.has(cause.code)) throw cause;
        throw new FabricError(chassisErrors.no_chassis, 'This realm runs no sandboxed tasks', { cause });
      }
    };
    return await use({
      desk,
      blobs: async () => {
        const { connection, subjects } = desk.realm;
        return await chassisBlobs(connection, subjects);
      },
      component: async (name) =>
        (await ask(componentAddress(name), { type: 'component.get' })) as ComponentView,
      task: async (id) => (await ask(taskAddress(id), { type: 'sandbox.get' })) as SandboxView,
      async say<R extends Reply>(address: string, event: Saying) {
        const reply = (await ask(address, event)) as R;
        if (reply.accepted) return reply as Extract<R, { readonly accepted: true }>;
        const { code, reason } = reply as Reply & { readonly accepted: false };
        const { help } = REFUSALS[code] ?? chassisErrors.chassis_refused;
        throw new Refused(
          new FabricError({ ...chassisErrors.chassis_refused, help }, `${address}: ${reason}`, {
            details: { code },
          }),
        );
      },
    });
  });
}

export function componentAddress(name: string): string {
  return name.startsWith(`${COMPONENT_TYPE}/`) ? name : `${COMPONENT_TYPE}/${name}`;
}

/** Components have no dot in their name, and tasks end with a dot and a number. */
export function isTask(name: string): boolean {
  return name.startsWith(`${SANDBOX_TYPE}/`) || /\.\d+$/.test(name);
}

export function taskAddress(id: string): string {
  return id.startsWith(`${SANDBOX_TYPE}/`) ? id : `${SANDBOX_TYPE}/${id}`;
}
