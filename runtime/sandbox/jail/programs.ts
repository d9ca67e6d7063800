/** What runs inside a jail. */
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { codeRoot, packageRoot } from '#runtime/cli/version';
import type { Program } from './launch.ts';

/** Built code has another extension than its source. */
const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const SANDBOX = join(codeRoot(), 'runtime', 'sandbox');
const MIB = 1024 * 1024;
const TASK_HEAP_MIB = 128;
/** Node's own memory, its heap, and compiled code of guests of several megabytes. */
const TASK_OVERHEAD_BYTES = 256 * MIB;
/** A component of the largest size, translated, takes a third of it. */
const GATE_HEAP_MIB = 512;
const GATE_OVERHEAD_BYTES = 512 * MIB;

/** Runs the components of one tenant. */
export const TASK_PROGRAM: Program = {
  main: join(SANDBOX, 'jail', 'child', `main.${EXTENSION}`),
  reads: [below(SANDBOX, 'jail', 'child'), below(SANDBOX, 'world')],
  heapMibMax: TASK_HEAP_MIB,
  overheadBytes: TASK_OVERHEAD_BYTES,
};

/** Lets one component in. */
export function gateProgram(): Program {
  const generator = fileURLToPath(import.meta.resolve('@bytecodealliance/jco-transpile/component'));
  const imported = [below(SANDBOX, 'gate'), below(codeRoot(), 'schemas', 'fabric-error.ts')];
  return {
    main: join(SANDBOX, 'jail', 'gate-child', `main.${EXTENSION}`),
    reads: [
      ...TASK_PROGRAM.reads,
      below(SANDBOX, 'jail', 'gate-child'),
      // Built, they lie in the program's own folder.
      ...(EXTENSION === 'ts' ? imported : []),
      below(packageRoot(), 'package.json'),
      {
        outside: dirname(dirname(generator)),
        inside: join('node_modules', '@bytecodealliance', 'jco-transpile'),
      },
    ],
    heapMibMax: GATE_HEAP_MIB,
    overheadBytes: GATE_OVERHEAD_BYTES,
  };
}

/** The same place inside, counted from the package. */
function below(folder: string, ...names: readonly string[]): Program['reads'][number] {
  const outside = join(folder, ...names);
  return { outside, inside: relative(packageRoot(), outside) };
}
