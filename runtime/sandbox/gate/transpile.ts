/**
 * The code generator: a component in, JavaScript that links its core modules out.
 *
 * T1  It is WebAssembly itself and holds state: once it has trapped, its process is not asked again.
 */
import { $init, generate } from '@bytecodealliance/jco-transpile/component';
import { FabricError } from '#schemas/fabric-error';
import { gateErrors } from './errors.ts';

const NAME = 'component';

export interface Transpiled {
  readonly glue: string;
  readonly modules: readonly (readonly [name: string, bytes: Uint8Array])[];
}

/** What V8 throws for a trap and for a stack that is full. */
const TRAPS = ['RuntimeError', 'RangeError'];

let hasTrapped = false;

export async function transpile(component: Uint8Array): Promise<Transpiled> {
  await $init;
  const modules: (readonly [string, Uint8Array])[] = [];
  let glue: string | undefined;
  for (const [name, bytes] of filesOf(component)) {
    if (name.endsWith('.wasm')) modules.push([name, bytes]);
    else if (name.endsWith('.js')) glue = new TextDecoder().decode(bytes);
  }
  if (glue === undefined) throw new Error('the code generator gave no code');
  return { glue, modules };
}

function filesOf(component: Uint8Array): readonly (readonly [name: string, bytes: Uint8Array])[] {
  if (hasTrapped) throw new FabricError(gateErrors.component_gate_spent, 'The code generator trapped before');
  try {
    const { files } = generate(component, {
      name: NAME,
      instantiation: { tag: 'sync' },
      noTypescript: true,
      noNodejsCompat: true,
      noComponentErrorWrapping: true,
    });
    return files;
  } catch (error) {
    hasTrapped = error instanceof Error && TRAPS.includes(error.name); // T1
    throw new FabricError(gateErrors.component_invalid, `The validator refused it: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

const REASON_CHARS_MAX = 500;

/** What it refuses is a string in `payload`; the message of a trap says less. */
function reasonOf(error: unknown): string {
  const reason =
    error instanceof Error && 'payload' in error && typeof error.payload === 'string'
      ? error.payload
      : String(error);
  return reason.slice(0, REASON_CHARS_MAX);
}
