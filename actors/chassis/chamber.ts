/** The place where strangers' code is read and run: the gate and the jail of one process, with the layers they have. */
import { GateCache } from '#runtime/sandbox/gate/cache';
import { GATE_LIMITS, type GatedComponent } from '#runtime/sandbox/gate/types';
import type { Layer, LayerPolicy } from '#runtime/sandbox/jail/layers';
import { Jail } from '#runtime/sandbox/jail/pool';
import type { JailResult, JailTask } from '#runtime/sandbox/jail/types';

export interface ChamberOptions {
  /** `full` unless it says otherwise: all layers, or nothing is run. */
  readonly require?: LayerPolicy;
  /** Tasks at a time. */
  readonly places?: number;
  /** The most memory that a task may be given. */
  readonly memoryBytesMax?: number;
  /** Where what passed the gate is kept; without one every component passes each time. */
  readonly cacheFolder?: string;
  /** Is told what the file system refused there; the component passes all the same. */
  readonly onCacheFault?: (fault: Error) => void;
}

export interface Chamber extends AsyncDisposable {
  readonly layers: readonly Layer[];
  /** Throws `component_*`. */
  gate(bytes: Uint8Array): Promise<GatedComponent>;
  run(task: JailTask): Promise<JailResult>;
}

/** Throws `jail_layers_missing`. */
export async function openChamber({
  require = 'full',
  places,
  memoryBytesMax,
  cacheFolder,
  onCacheFault,
}: ChamberOptions): Promise<Chamber> {
  const jail = await Jail.open({
    require,
    ...(places !== undefined && { size: places }),
    ...(memoryBytesMax !== undefined && { memoryBytesMax }),
  });
  const prepare = (bytes: Uint8Array) => jail.prepare(bytes);
  const cache =
    cacheFolder === undefined
      ? undefined
      : new GateCache({
          folder: cacheFolder,
          ...(onCacheFault !== undefined && { onFault: onCacheFault }),
        });
  return {
    layers: jail.layers,
    gate: async (bytes) => await (cache?.gated(bytes, GATE_LIMITS, prepare) ?? prepare(bytes)),
    run: async (task) => await jail.run(task),
    [Symbol.asyncDispose]: async () => await jail[Symbol.asyncDispose](),
  };
}

/** In a word: `full`, or the layers that are there. */
export function levelOf(layers: readonly Layer[]): string {
  if (layers.every(({ isOn }) => isOn)) return 'full';
  return layers
    .filter(({ isOn }) => isOn)
    .map(({ name }) => name)
    .join('+')
    .slice(0, 40);
}
