/** Tasks for a jail: components written by hand, limits, and a host that answers nothing. */
import { createHash } from 'node:crypto';
import type { JailComponent, JailTask } from '#runtime/sandbox/jail/types';
import type { TaskLimits } from '#schemas/sandbox';

const MIB = 1024 * 1024;

export const LIMITS: TaskLimits = {
  memoryBytes: 64 * MIB,
  fuel: 1e9,
  wallMs: 20_000,
  callsPerSecond: 10,
  callBurst: 20,
  outputBytes: 64 * 1024,
  logBytes: 64 * 1024,
};

/** A component of generated code alone: what a name that slipped through the gate could bring in. */
export function handmade(glue: string): JailComponent {
  return { sha256: createHash('sha256').update(glue).digest('hex'), glue, cores: [] };
}

/** `body` is the body of `run(input, imports)`. */
export function running(body: string): JailComponent {
  return handmade(
    `export function instantiate(getCore, imports, instantiateCore) { return { run: (input) => { ${body} } }; }`,
  );
}

export function taskOf(component: JailComponent, more: Partial<JailTask> = {}): JailTask {
  return {
    component,
    input: new Uint8Array(),
    limits: LIMITS,
    seed: 7n,
    now: 1_700_000_000_000,
    tenant: 'acme',
    host: async () => ({ ok: true, value: undefined }),
    ...more,
  };
}
