/** A component run here, without a realm: with the limits, the grant and the jail that it would have there. */
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import { LiveGrant } from '#runtime/sandbox/grants/live';
import type { HostAnswer, HostCall } from '#runtime/sandbox/jail/types';
import type { Grant } from '#schemas/grant';
import type { SandboxBegin, SandboxRun, TaskLimits } from '#schemas/sandbox';
import { stored } from './blobs.ts';
import { type Chamber, levelOf } from './chamber.ts';
import { type Floor, runTask } from './run.ts';
import type { World } from './world.ts';

const HERE = 'operator/here';

export interface LocalTask {
  readonly input: Uint8Array;
  readonly limits: TaskLimits;
  readonly grant: Grant;
  readonly seed: number;
  readonly at: number;
  readonly signal: AbortSignal;
}

/** Keeps what its runs keep; asks and requests have no answer here. */
export class LocalRealm {
  readonly events: { readonly name: string; readonly body: string }[] = [];
  readonly #chamber: Chamber;
  readonly #component: GatedComponent;
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #keys = new Map<string, Uint8Array>();

  constructor(chamber: Chamber, component: GatedComponent) {
    this.#chamber = chamber;
    this.#component = component;
  }

  async run({ input, limits, grant, seed, at, signal }: LocalTask): Promise<SandboxRun> {
    const { floor } = this;
    const task: SandboxBegin = {
      component: this.#component.sha256,
      by: HERE,
      tenant: HERE,
      input: await stored(floor.blobs, input),
      limits,
      grant,
      seed,
      retries: 0,
      reduced: false,
    };
    return await runTask({ id: 'here', task, at, signal }, new LiveGrant(grant, { now: Date.now }), floor);
  }

  get floor(): Floor {
    const { layers } = this.#chamber;
    return {
      level: levelOf(layers),
      blobs: {
        get: async (name) => this.#blobs.get(name),
        put: async (name, bytes) => void this.#blobs.set(name, bytes),
      },
      world: this.#world,
      component: async () => this.#component,
      run: (task) => this.#chamber.run(task),
    };
  }

  readonly #world: World = {
    answer: async (call) => this.#answer(call),
  };

  #answer(call: HostCall): HostAnswer {
    switch (call.kind) {
      case 'emit':
        this.events.push({ name: call.name, body: call.body });
        return { ok: true, value: undefined };
      case 'kv-get':
        return { ok: true, value: this.#keys.get(call.key) };
      case 'kv-put':
        this.#keys.set(call.key, call.value);
        return { ok: true, value: undefined };
      default:
        return {
          ok: false,
          code: 'no_realm',
          message: `there is nobody to answer ${call.kind} without a realm`,
        };
    }
  }
}
