/** The bare loop as a subject of measurement: server, loop and client in three processes, like the kernel's. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startProgram, usageOf } from '../process.ts';
import { benchServer } from '../rig.ts';
import type { Subject } from '../subject.ts';
import { limitClient } from './client.ts';

const SHARD = fileURLToPath(new URL('./shard.ts', import.meta.url));

export async function limitSubject(strict: boolean, profileDir?: string): Promise<Subject> {
  await using owned = new AsyncDisposableStack();
  const server = owned.use(await benchServer(strict));
  const loop = startProgram([SHARD, server.url], { profileDir });
  owned.defer(() => loop.end());
  await Promise.race([
    new Promise<void>((resolve) => loop.onLine((line) => line === 'ready' && resolve())),
    once(loop.child, 'exit').then(() => Promise.reject(new Error('the limit loop ended'))),
  ]);
  const client = owned.use(await limitClient(server.url));
  const kept = owned.move();
  return {
    ask: (actor) => client.ask(actor),
    async cpu() {
      return { loopUs: (await loop.usage()).cpuUs, serverUs: usageOf(server.pid)?.cpuUs };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
