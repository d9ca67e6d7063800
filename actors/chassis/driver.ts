/**
 * Driver `sandbox`: the steps of a sandboxed task on the node that has its shard: a turn, the component made ready, the run,
 * and the end of its grant.
 *
 * D1  A run uses the turn that this node gave. After a crash there is none: the driver says so, and the machine decides
 *     whether it is tried again; nothing runs twice because a node came back.
 * D2  A turn is given back whatever becomes of its run.
 * D3  A grant that is taken back while its run begins is met by nobody: what is ordered later is done later.
 */
import { z } from 'zod';
import type { Driver, DriverRealm, EffectCall } from '#runtime/effects/driver';
import { LiveGrant } from '#runtime/sandbox/grants/live';
import { FabricError } from '#schemas/fabric-error';
import { SANDBOX_DRIVER, SANDBOX_TYPE, sandboxBeginSchema, sha256Schema } from '#schemas/sandbox';
import { chassisErrors } from './errors.ts';
import type { Office, SandboxOptions } from './office.ts';

const inputSchema = z.discriminatedUnion('want', [
  z.object({ want: z.literal('turn'), tenant: z.string().max(240) }),
  z.object({ want: z.literal('prepare'), component: sha256Schema }),
  z.object({ want: z.literal('run'), task: sandboxBeginSchema, at: z.int(), revoked: z.boolean() }),
  z.object({ want: z.literal('revoke') }),
]);

export function sandboxDriver(options: SandboxOptions = {}): Driver {
  let realm: DriverRealm | undefined;
  let office: Promise<Office> | undefined;
  const grants = new Map<string, LiveGrant>();

  function opened(): Promise<Office> {
    if (realm === undefined) {
      throw new FabricError(chassisErrors.sandbox_unopened, 'This node runs no sandboxed tasks now');
    }
    office ??= open(realm);
    return office;
  }

  /** What runs untrusted code is loaded where there is some: most nodes never do. */
  async function open(given: DriverRealm): Promise<Office> {
    const { openOffice } = await import('./office.ts');
    return await openOffice(given, options);
  }

  async function run(
    call: EffectCall,
    input: Extract<Input, { readonly want: 'run' }>,
    { floor, turns, clock }: Office,
  ) {
    const { actor, signal } = call;
    if (!turns.use(actor)) throw turnLost(actor); // D1.
    const grant = new LiveGrant(input.task.grant, clock, input.revoked);
    grants.set(actor, grant);
    try {
      const id = actor.slice(SANDBOX_TYPE.length + 1);
      const { runTask } = await import('./run.ts');
      return await runTask({ id, task: input.task, at: input.at, signal }, grant, floor);
    } finally {
      grants.delete(actor);
      turns.give(actor); // D2.
    }
  }

  async function prepare({ actor }: EffectCall, component: string, { floor, turns }: Office) {
    if (!turns.use(actor)) throw turnLost(actor);
    try {
      const { stats } = await floor.component(component);
      turns.rest(actor);
      return { ...stats };
    } catch (thrown) {
      turns.give(actor);
      throw thrown;
    }
  }

  return {
    name: SANDBOX_DRIVER,
    // Turns are its bound, and each run has a time limit of its own.
    waits: true,
    // What a machine has retries for.
    retry: { attempts: 1 },
    validate: (input) => void inputSchema.parse(input),
    async open(given) {
      realm = given;
      // What is required is there before the node takes any work.
      if (given.isKind(SANDBOX_TYPE)) await opened();
      return {
        async [Symbol.asyncDispose]() {
          realm = undefined;
          await (await office)?.[Symbol.asyncDispose]();
        },
      };
    },
    async run(call) {
      const input = inputSchema.parse(call.input);
      const place = await opened();
      switch (input.want) {
        case 'revoke':
          grants.get(call.actor)?.revoke(); // D3: after the run that came before it.
          return {};
        case 'turn':
          await place.turns.take(call.actor, input.tenant, call.signal);
          return {};
        case 'prepare':
          return await prepare(call, input.component, place);
        case 'run':
          return await run(call, input, place);
      }
    },
  };
}

type Input = z.infer<typeof inputSchema>;

function turnLost(actor: string): FabricError {
  return new FabricError(chassisErrors.sandbox_turn_lost, `${actor} has no turn on this node any more`);
}
