/** Attacks of a process that was taken over and says to its parent what no guest can. */
import { fileURLToPath } from 'node:url';
import type { Program } from '#runtime/sandbox/jail/launch';
import { closeLayers, openLayers } from '#runtime/sandbox/jail/layers';
import { TASK_PROGRAM } from '#runtime/sandbox/jail/programs';
import { TaskProcess } from '#runtime/sandbox/jail/task-process';
import { LIMITS, running, taskOf } from '../../rig/jail.ts';
import { type Attack, endOf } from './attack.ts';

const FOLDER = fileURLToPath(new URL('./inside', import.meta.url));

const HOSTILE: Program = {
  ...TASK_PROGRAM,
  main: `${FOLDER}/speaks.ts`,
  reads: [...TASK_PROGRAM.reads, { outside: FOLDER, inside: 'test/sandbox/audit/inside' }],
};

const SAYINGS: readonly (readonly [saying: string, contained: string])[] = [
  ['ready twice', 'jail_protocol'],
  ['loaded twice', 'jail_protocol'],
  ['a result of what is not loaded', 'jail_protocol'],
  ['a frame of four gigabytes', 'jail_protocol'],
  ['an empty frame', 'jail_protocol'],
  ['lengths that lie', 'jail_protocol'],
  ['a kind nobody knows', 'jail_protocol'],
  ['a call nobody knows', 'jail_protocol'],
  ['a level nobody knows', 'jail_protocol'],
  ['a field too many', 'jail_protocol'],
  ['text that is none', 'jail_protocol'],
  ['headers that are none', 'jail_protocol'],
  ['more fuel than it has', 'jail_protocol'],
  ['more output than it may', 'jail_protocol'],
  ['fuel that is no number', 'jail_protocol'],
  ['a call in a call', 'jail_protocol'],
  ['a flood of errors', 'jail_protocol'],
  ['a flood of lines', 'task_logs_exceeded'],
  ['a flood of empty lines', 'task_logs_exceeded'],
  ['nothing, and dies', 'jail_died'],
  ['two results', 'done, then ended'],
];

export const messageAttacks: readonly Attack[] = SAYINGS.map(([name, contained]) => ({
  group: 'messages',
  name,
  contained: [contained],
  run: () => say(name),
}));

async function say(saying: string): Promise<string> {
  const layers = await openLayers('any');
  try {
    const process = await TaskProcess.start({
      program: HOSTILE,
      layers,
      memoryBytesMax: LIMITS.memoryBytes,
      name: 'speaks',
    });
    const host = (): Promise<never> => new Promise(() => undefined);
    const result = await process.run(taskOf(running(''), { input: Buffer.from(saying), host }));
    if (result.kind === 'failed') {
      await process.kill();
      return endOf(result);
    }
    // What comes after a result ends it, without anybody's doing.
    await process.ended;
    return 'done, then ended';
  } finally {
    await closeLayers(layers);
  }
}
