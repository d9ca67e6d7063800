/** Preloaded into the processes of a test: whatever ends the test process ends them too. */
import { Socket } from 'node:net';

// A pipe that only the test process holds open.
const parent = new Socket({ fd: 3 });
parent.on('close', () => process.kill(process.pid, 'SIGKILL'));
parent.on('error', () => undefined);
parent.resume();
parent.unref();
