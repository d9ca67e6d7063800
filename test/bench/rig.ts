/** A nats-server of a benchmark's own, in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { locateServer } from '#runtime/node/locate-server';
import { endChild, owned } from './process.ts';

export interface BenchServer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024;

/** Starts the server on a free port; `strict` syncs each write before its acknowledgement. Throws where it ends early. */
export async function benchServer(strict: boolean): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), 'infrafabric-bench-'));
  const config = join(folder, 'server.conf');
  const sync = strict ? ', sync_interval: always' : '';
  await writeFile(
    config,
    `listen: "127.0.0.1:-1"\nmax_payload: ${MAX_PAYLOAD_BYTES}\njetstream { store_dir: "${folder}/js"${sync} }\n`,
  );
  const binary = await locateServer(process.env);
  const child = owned(spawn(binary, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] }));
  const url = await listening(child);
  return {
    url,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      await endChild(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`nats-server ended with code ${code}`)));
    if (child.stderr === null) return;
    let url = '';
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /client connections on (\S+)$/.exec(line)?.[1];
      if (found !== undefined) url = `nats://${found}`;
      if (line.includes('Server is ready')) resolve(url);
    });
  });
}
