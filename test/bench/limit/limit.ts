/** The bare loop as a subject of measurement: server, loop and client in three processes, like the kernel's. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cpuOf, type Measured, startProgram } from '../process.ts';
import { type Bus, benchServer } from '../rig.ts';
import type { Subject } from '../subject.ts';
import { limitClient } from './client.ts';

const SHARD = fileURLToPath(new URL('./shard.ts', import.meta.url));

/** On a server of its own. */
export async function limitSubject(strict: boolean, profileDir?: string): Promise<Subject> {
  await using owned = new AsyncDisposableStack();
  const server = owned.use(await benchServer(strict));
  const subject = owned.use(await limitOn(server, { profileDir }));
  const kept = owned.move();
  return { ...subject, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

export interface LimitOptions {
  /** Loops, each a process with a log subject of its own; 1 when absent. */
  readonly loops?: number;
  /** Copies of the log; 1 when absent. */
  readonly copies?: number;
  readonly profileDir?: string | undefined;
}

/** On servers that others may use too. */
export async function limitOn(bus: Bus, options: LimitOptions): Promise<Subject> {
  const { loops: count = 1, copies = 1, profileDir } = options;
  await using owned = new AsyncDisposableStack();
  const loops: Measured[] = [];
  for (let shard = 0; shard < count; shard += 1) {
    const args = [SHARD, bus.servers.join(','), String(shard), String(copies)];
    const loop = startProgram(args, {
      profileDir,
      ...(bus.token !== undefined && { env: { NATS_TOKEN: bus.token } }),
    });
    owned.defer(() => loop.end());
    loops.push(loop);
    // The first makes the stream.
    await ready(loop);
  }
  const client = owned.use(await limitClient(bus, count));
  const kept = owned.move();
  return {
    ask: (actor) => client.ask(actor),
    cpu: () => cpuOf(loops, bus.pids),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function ready(loop: Measured): Promise<void> {
  return Promise.race([
    new Promise<void>((resolve) => loop.onLine((line) => line === 'ready' && resolve())),
    once(loop.child, 'exit').then(() => Promise.reject(new Error('the limit loop ended'))),
  ]);
}
