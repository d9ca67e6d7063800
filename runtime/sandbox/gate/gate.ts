/**
 * The gate: what was submitted as a component becomes what a jail can run, or a refusal.
 *
 * E1  Bytes in, data out: nothing of the component is evaluated here. It is hostile all the same to whatever reads it,
 *     so this runs in a jail with a time limit.
 * E2  The reader (component/read.ts) refuses first; the code generator sees only what passed it.
 * E3  Every core module that leaves is metered, those that the code generator adds as well.
 */
import { hash } from 'node:crypto';
import { readComponent } from './component/read.ts';
import { type MeteredModule, meterModule } from './core/meter-module.ts';
import { gateErrors, refusal } from './errors.ts';
import { Reader } from './reader.ts';
import { transpile } from './transpile.ts';
import { GATE_LIMITS, type GatedComponent, type GateLimits } from './types.ts';

/** The function that a guest exports. */
const ENTRY = 'run';

/**
 * Lets a component in, or throws a `component_*` error that says what and where.
 *
 * @example
 * const { glue, cores } = await gateComponent(await readFile('guest.wasm'));
 */
export async function gateComponent(
  bytes: Uint8Array,
  limits: GateLimits = GATE_LIMITS,
): Promise<GatedComponent> {
  const { clean, modules, imports, exports } = readComponent(bytes, limits); // E2
  if (!exports.includes(ENTRY)) {
    throw refusal(gateErrors.component_export, `It exports no ${ENTRY}`, bytes.length);
  }
  const { glue, modules: linked } = await transpile(clean);
  const metered = linked.map(([name, core]) => ({ name, ...meteredOf(name, core) }));
  const sum = (of: (module: MeteredModule) => number) => metered.reduce((total, each) => total + of(each), 0);
  return {
    sha256: hash('sha256', bytes),
    glue,
    cores: metered.map((core) => ({ name: core.name, bytes: core.bytes, memoryPages: core.memoryPages })),
    imports,
    exports,
    stats: {
      bytes: bytes.length,
      functions: sum(({ stats }) => stats.functions),
      instructions: sum(({ stats }) => stats.instructions),
      checks: sum(({ stats }) => stats.checks),
      gatedBytes: sum((core) => core.bytes.length),
    },
  };

  /** E3: what the reader metered, if it is that; otherwise it is the generator's own. */
  function meteredOf(name: string, core: Uint8Array): MeteredModule {
    const read = modules.find((module) => Buffer.compare(module.clean, core) === 0);
    return read?.metered ?? meterModule(new Reader(core, 0, core.length, name), limits, 'generated');
  }
}
