/** Attacks of a process that was taken over: what it says to its parent, and what it reaches of the machine. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { closeLayers, type Layers, openLayers } from '#runtime/sandbox/jail/layers';
import type { Attack } from './attack.ts';
import { reachFromTask, reachWithoutPermissions } from './reaches.ts';

const INSIDE = fileURLToPath(new URL('./inside/reaches.ts', import.meta.url));

/** Ends that are none of `REACHED …`. */
const contained = ['refused', 'jail_died', 'task_time_exceeded'];

/** Makes every attempt of inside/reaches.ts an attack, behind all layers and again without Node's permissions. */
export function processAttacks(): readonly Attack[] {
  const names = JSON.parse(
    execFileSync(process.execPath, ['--no-warnings', INSIDE, '--list'], { encoding: 'utf8' }),
  ) as readonly string[];
  return names.flatMap((name, n) => [
    {
      group: 'a process taken over',
      name,
      contained,
      run: () => behind((layers) => reachFromTask(layers, name, n)),
    },
    {
      group: 'the same without the permissions of Node',
      name,
      contained: [...contained, 'not tried', 'ended'],
      run: () => behind((layers) => reachWithoutPermissions(layers, name)),
    },
  ]);
}

/** The word before the colon; what was reached stays. */
async function behind(attempt: (layers: Layers) => Promise<string>): Promise<string> {
  const layers = await openLayers('any');
  try {
    const said = await attempt(layers);
    return said.startsWith('REACHED') ? said : (said.split(':')[0] ?? said);
  } finally {
    await closeLayers(layers);
  }
}
