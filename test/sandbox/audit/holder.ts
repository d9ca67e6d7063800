/** A node that is about to be killed: a jail with an endless run in it. Says so, and lives until somebody ends it. */
import { stdout } from 'node:process';
import { Jail } from '#runtime/sandbox/jail/pool';
import { LIMITS, running, taskOf } from '../../rig/jail.ts';

const jail = await Jail.open({ require: 'any', spares: 0 });
// The first run shows that its process has started.
await jail.run(taskOf(running('return input;')));
const endless = jail.run(taskOf(running('for (;;);'), { limits: { ...LIMITS, wallMs: 600_000 } }));
stdout.write('running\n');
await endless;
