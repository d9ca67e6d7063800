/**
 * Attacks of a process that was taken over: an attacker who broke out of WebAssembly and of the language has all of
 * Node's modules there. Each attempt is made twice: behind all layers, and behind bubblewrap and seccomp alone, with
 * Node's own permissions off.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bubblewrapArguments, INSIDE } from '#runtime/sandbox/jail/bubblewrap';
import type { Program } from '#runtime/sandbox/jail/launch';
import type { Layers } from '#runtime/sandbox/jail/layers';
import { TASK_PROGRAM } from '#runtime/sandbox/jail/programs';
import { TaskProcess } from '#runtime/sandbox/jail/task-process';
import { LIMITS, running, taskOf } from '../../rig/jail.ts';
import { runWithFilter } from './run-with-filter.ts';

const FOLDER = fileURLToPath(new URL('./inside', import.meta.url));
const PLACE = 'test/sandbox/audit/inside';

const PROGRAM: Program = {
  ...TASK_PROGRAM,
  main: join(FOLDER, 'reaches.ts'),
  reads: [...TASK_PROGRAM.reads, { outside: FOLDER, inside: PLACE }],
};

/** What the process said of an attempt: `refused: CODE`, `REACHED what`, or how it was ended. */
export async function reachFromTask(layers: Layers, name: string, n: number): Promise<string> {
  const process = await TaskProcess.start({
    program: PROGRAM,
    layers,
    memoryBytesMax: LIMITS.memoryBytes,
    name: `reach-${n}`,
  });
  const limits = { ...LIMITS, wallMs: 60_000 };
  const result = await process.run(taskOf(running(''), { input: Buffer.from(name), limits }));
  await process.kill();
  return result.kind === 'done' ? Buffer.from(result.output).toString() : result.error.code;
}

/** The same without Node's permissions. */
export async function reachWithoutPermissions(layers: Layers, name: string): Promise<string> {
  const { bubblewrap, seccomp } = layers;
  if (bubblewrap === undefined || seccomp === undefined) return 'not tried: a layer is missing';
  const args = bubblewrapArguments({
    node: process.execPath,
    libraries: bubblewrap.libraries,
    reads: PROGRAM.reads,
    hasSeccomp: true,
  });
  const main = join(INSIDE, PLACE, 'reaches.ts');
  return await runWithFilter(bubblewrap.file, [...args, '--no-warnings', main, name], seccomp);
}
