/** The kernel as a subject of measurement: a node started like a user's, with its own server, and the client. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect } from '#runtime/client/node';
import type { RunFile } from '#runtime/node/api';
import { endChild } from './rig.ts';
import type { Subject } from './subject.ts';

const READY_TIMEOUT_MS = 30_000;
const ENTRY = fileURLToPath(new URL('../../actors/infrafabric.ts', import.meta.url));

export async function kernelSubject(durability: 'strict' | 'relaxed'): Promise<Subject> {
  await using owned = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'infrafabric-bench-'));
  owned.defer(() => rm(folder, { recursive: true, force: true }));
  const config = join(folder, 'bench.yaml');
  await writeFile(
    config,
    `realm: bench\ndurability: ${durability}\nkinds:\n  counter: { machine: counter, spawnOnMessage: true, door: open }\n`,
  );
  const data = join(folder, 'data');
  const node = spawn(process.execPath, [ENTRY, 'up', config], {
    env: { ...process.env, INFRAFABRIC_DATA: data },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  owned.defer(() => endChild(node));
  const run = await Promise.race([
    runFile(join(data, 'run.json')),
    once(node, 'exit').then(([code]) => Promise.reject(new Error(`the node ended with code ${code}`))),
  ]);
  const client = await connect({
    url: run.url,
    prefix: run.prefix,
    encoding: 'msgpack',
    ...(run.token !== undefined && { token: run.token }),
  });
  owned.defer(() => client.close());
  const kept = owned.move();
  return {
    ask: (actor) => client.ask(`counter/${actor}`, { type: 'inc' }),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Written once the node is up. */
async function runFile(path: string): Promise<RunFile> {
  const end = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < end) {
    if (existsSync(path)) return JSON.parse(await readFile(path, 'utf8')) as RunFile;
    await pause(20);
  }
  throw new Error(`the node was not up within ${READY_TIMEOUT_MS} ms`);
}
