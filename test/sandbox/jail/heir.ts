/** A node that was started with open descriptors: says which of them are handed on, and what a process of its jail has. */
import { once } from 'node:events';
import { join } from 'node:path';
import { stdout } from 'node:process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { inheritedDescriptors } from '#runtime/sandbox/jail/inherited';
import { launch } from '#runtime/sandbox/jail/launch';
import { closeLayers, openLayers } from '#runtime/sandbox/jail/layers';
import { TASK_PROGRAM } from '#runtime/sandbox/jail/programs';
import { LIMITS } from '../../rig/jail.ts';

const FOLDER = fileURLToPath(new URL('./inside', import.meta.url));

const layers = await openLayers('any');
const { child, cgroup } = await launch(
  {
    ...TASK_PROGRAM,
    main: join(FOLDER, 'descriptors.ts'),
    reads: [...TASK_PROGRAM.reads, { outside: FOLDER, inside: 'test/sandbox/jail/inside' }],
  },
  layers,
  LIMITS.memoryBytes,
  'heir',
);
if (child.stdout === null || child.stderr === null) throw new Error('a process without pipes');
const closed = once(child, 'close');
const [inside, failure] = await Promise.all([text(child.stdout), text(child.stderr)]);
await closed;
await cgroup?.remove();
await closeLayers(layers);
stdout.write(JSON.stringify({ own: inheritedDescriptors(), inside, failure }));
