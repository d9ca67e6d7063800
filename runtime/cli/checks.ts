/** The checks of `doctor` that need no running realm. */
import { existsSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { findNatsServer, minNatsServerVersion } from '#deploy/nats-server';
import { loadConfig } from '#runtime/supervise/load-config';
import { toWireError } from '#schemas/fabric-error';
import type { Check } from './render/checks.ts';
import { plural, span } from './render/format.ts';

const NODE_MAJOR_MIN = 22;
/** Writes timed to judge a disk: enough for a median, quick even on a slow one. */
const FSYNC_PROBES = 16;
const FSYNC_BYTES = 4_096;
/** p50 of one fsync: below, strict durability costs little; above the second, a realm crawls. */
const FSYNC_FAST_MS = 2;
const FSYNC_SLOW_MS = 20;

export function checkNode(version: string): Check {
  const major = Number(version.split('.')[0]);
  if (major >= NODE_MAJOR_MIN) return { name: 'node', state: 'ok', seen: version };
  return {
    name: 'node',
    state: 'fail',
    seen: version,
    todo: `Run it with Node ${NODE_MAJOR_MIN} or newer; Node 26 is the fastest.`,
  };
}

/** An external server is only reached through the realm; an embedded one needs a program. */
export async function checkServer(
  env: Readonly<Record<string, string | undefined>>,
  url: string | undefined,
): Promise<Check> {
  if (url !== undefined)
    return { name: 'nats-server', state: 'skip', seen: 'the config or NATS_URL names one' };
  try {
    const server = await findNatsServer({ env });
    if (server !== undefined) return { name: 'nats-server', state: 'ok', seen: server.version };
  } catch (error) {
    const [seen = '', todo = ''] = (error as Error).message.split('\nFix: ');
    return { name: 'nats-server', state: 'fail', seen, todo };
  }
  const todo = `Install nats-server ${minNatsServerVersion} or newer, or set NATS_URL; \`npm start\` in a checkout provides it.`;
  const seen = `none from ${minNatsServerVersion} on PATH or in the cache`;
  return { name: 'nats-server', state: 'fail', seen, todo };
}

/** Writes and syncs a small file where the realm's data is to be. */
export async function checkDisk(dataDir: string): Promise<Check> {
  const folder = existing(dataDir);
  const probe = join(folder, `.doctor-${process.pid}`);
  try {
    await mkdir(folder, { recursive: true });
    const times: number[] = [];
    const file = await open(probe, 'w', 0o600);
    try {
      const bytes = Buffer.alloc(FSYNC_BYTES, 1);
      for (let n = 0; n < FSYNC_PROBES; n += 1) {
        const startedAt = performance.now();
        await file.write(bytes, 0, bytes.length, n * FSYNC_BYTES);
        await file.datasync();
        times.push(performance.now() - startedAt);
      }
    } finally {
      await file.close();
      await rm(probe, { force: true });
    }
    return diskCheck(dataDir, times.sort((a, b) => a - b)[FSYNC_PROBES / 2] ?? 0);
  } catch (error) {
    const todo = 'Choose a folder that you may write, with --data or INFRAFABRIC_DATA.';
    return { name: 'data folder', state: 'fail', seen: `${dataDir}: ${toWireError(error).message}`, todo };
  }
}

export function diskCheck(dataDir: string, fsyncMs: number): Check {
  const name = 'data folder';
  const speed = `${dataDir}, a sync takes ${fsyncMs < 10 ? fsyncMs.toFixed(2) : fsyncMs.toFixed(0)} ms`;
  if (fsyncMs <= FSYNC_FAST_MS) return { name, state: 'ok', seen: `${speed}: fast` };
  if (fsyncMs <= FSYNC_SLOW_MS) return { name, state: 'ok', seen: `${speed}: usable` };
  const todo = 'Put the data on a local SSD: with strict durability every commit waits for the disk.';
  return { name, state: 'warn', seen: `${speed}: slow`, todo };
}

export function checkConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  machines: readonly string[],
): Check {
  if (file === undefined) {
    return {
      name: 'config',
      state: 'skip',
      seen: 'no realm.yaml here: `up` runs a first realm, `init` writes a config, --config names one that lies elsewhere',
    };
  }
  try {
    const { config, spec } = loadConfig(file, { env, machines });
    const children = plural(spec.children.length, 'child', 'children');
    return { name: 'config', state: 'ok', seen: `${file}: realm ${config.realm}, ${children}` };
  } catch (error) {
    const { message, help } = toWireError(error);
    return { name: 'config', state: 'fail', seen: message, ...(help !== undefined && { todo: help }) };
  }
}

/** Only ports that a config fixes can be taken by another. */
export async function checkPorts(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Check> {
  const name = 'ports';
  let ports: number[] = [];
  try {
    const nats = file === undefined ? undefined : loadConfig(file, { env }).config.nats;
    ports = [nats?.port, nats?.websocketPort].filter((port) => port !== undefined && port !== 0) as number[];
  } catch {
    return { name, state: 'skip', seen: 'unknown until the config is right' };
  }
  if (ports.length === 0) return { name, state: 'ok', seen: 'chosen freely' };
  const startedAt = performance.now();
  const taken: number[] = [];
  for (const port of ports) if (!(await isFree(port))) taken.push(port);
  if (taken.length === 0) {
    return { name, state: 'ok', seen: `${ports.join(', ')} free (${span(performance.now() - startedAt)})` };
  }
  const todo =
    'Fine while this realm runs; otherwise end what listens there, or choose another under `nats`.';
  return { name, state: 'warn', seen: `${taken.join(', ')} in use`, todo };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** The folder itself, or the nearest one above that is there: `doctor` makes nothing. */
function existing(folder: string): string {
  let found = folder;
  while (!existsSync(found) && dirname(found) !== found) found = dirname(found);
  return found;
}
