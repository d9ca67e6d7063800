/**
 * One process that lets one component in. It reads hostile bytes, so it has the layers of a task, a time, and no
 * second component.
 */
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import { FabricError } from '#schemas/fabric-error';
import { Channel } from './channel.ts';
import { FRAME, FrameError } from './child/frames.ts';
import { jailErrors } from './errors.ts';
import { readGated } from './gated-message.ts';
import { launch } from './launch.ts';
import type { Layers } from './layers.ts';
import { gateProgram } from './programs.ts';
import type { ProcessorShare } from './share.ts';

/** A component of 13 MiB takes a second on a slow core, and the jail may have little of a busy one. */
const GATE_MS_MAX = 60_000;
const MIB = 1024 * 1024;
/** Generated code and metered modules of the largest component. */
const FRAME_BYTES_MAX = 160 * MIB;
/** The code generator is WebAssembly and has memory of its own. */
const MEMORY_BYTES_MAX = 1_024 * MIB;

export class GateProcess {
  readonly #result = Promise.withResolvers<GatedComponent>();
  readonly #share: ProcessorShare;
  #component: Uint8Array | undefined;
  #opened: Channel | undefined;

  private constructor(share: ProcessorShare) {
    this.#share = share;
    // Whoever gates looks at it; a process that is ended unused has nobody.
    this.#result.promise.catch(() => undefined);
  }

  /** Resolves when it waits for a component. Throws `jail_not_started`. */
  static async start(layers: Layers, name: string): Promise<GateProcess> {
    const launched = await launch(gateProgram(), layers, MEMORY_BYTES_MAX, name);
    const started = new GateProcess(launched.share);
    started.#opened = await Channel.open(launched, {
      frameBytesMax: () => FRAME_BYTES_MAX,
      onFrame: (frame) => {
        if (started.#component === undefined) throw new FrameError('it was not asked');
        const read = readGated(frame, started.#component);
        if (read instanceof FabricError) started.#result.reject(read);
        else started.#result.resolve(read);
      },
      onBroken: (why) => started.#fail(`it said what it may not: ${why}`),
      onEnd: (how) => started.#fail(how),
    });
    return started;
  }

  /** Throws `component_*`. */
  async gate(component: Uint8Array): Promise<GatedComponent> {
    this.#component = component;
    const timer = setTimeout(() => this.#fail(`it took longer than ${GATE_MS_MAX} ms`), GATE_MS_MAX);
    try {
      this.#share.yield(); // it takes long
      this.#opened?.send(FRAME.gate, [component]);
      return await this.#result.promise;
    } finally {
      clearTimeout(timer);
      await this.kill();
    }
  }

  async kill(): Promise<void> {
    this.#opened?.kill();
    await this.#opened?.ended;
  }

  #fail(how: string): void {
    this.#result.reject(
      new FabricError(jailErrors.component_gate_failed, `The gate did not get through: ${how}`),
    );
  }
}
