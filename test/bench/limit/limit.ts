/** The bare loop as a subject of measurement: server, loop and client in three processes, like the kernel's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { benchServer, endChild } from '../rig.ts';
import type { Subject } from '../subject.ts';
import { limitClient } from './client.ts';

export async function limitSubject(strict: boolean): Promise<Subject> {
  await using owned = new AsyncDisposableStack();
  const server = owned.use(await benchServer(strict));
  const shard = spawn(process.execPath, [fileURLToPath(new URL('./shard.ts', import.meta.url)), server.url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  owned.defer(() => endChild(shard));
  await Promise.race([
    once(shard.stdout, 'data'),
    once(shard, 'exit').then(() => Promise.reject(new Error('the limit loop ended'))),
  ]);
  const client = owned.use(await limitClient(server.url));
  const kept = owned.move();
  return { ask: (actor) => client.ask(actor), [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
