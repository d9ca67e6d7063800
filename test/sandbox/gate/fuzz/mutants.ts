/** What is almost a module, or almost a component: the gate refuses it or lets in what the engine takes. */
import { FabricError } from '#schemas/fabric-error';
import { meter } from '../guests.ts';
import { Choices } from './choices.ts';
import { randomModule } from './module.ts';

/** Changes some bytes, cuts, or repeats a part. */
export function mutate(bytes: Uint8Array, choices: Choices): Uint8Array<ArrayBuffer> {
  const changed = Uint8Array.from(bytes);
  for (let left = 1 + choices.below(4); left > 0; left -= 1) {
    changed[choices.below(changed.length)] = choices.below(256);
  }
  if (choices.oneIn(4)) return changed.slice(0, choices.below(changed.length));
  if (!choices.oneIn(4)) return changed;
  const from = choices.below(changed.length);
  return Uint8Array.from([...changed, ...changed.subarray(from, from + choices.below(64))]);
}

export type MutantFate = 'refused' | 'passed' | 'invalid';

/** Throws where the gate crashes, or makes something of a valid module that is none. */
export function tryMutant(seed: number): MutantFate {
  const bytes = mutate(randomModule(seed), new Choices(seed + 2));
  const isValid = WebAssembly.validate(bytes);
  try {
    const metered = meter(bytes);
    if (isValid && !WebAssembly.validate(metered.bytes))
      throw new Error(`${seed}: valid before the gate, not after`);
    return isValid ? 'passed' : 'invalid';
  } catch (error) {
    if (error instanceof FabricError) return 'refused';
    throw error;
  }
}
