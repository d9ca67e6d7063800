/** K1: what a cluster on one machine is made of, written down when it is first started. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { writePrivateFile } from '#runtime/bus/file';
import type { ClusterPlan } from './server-config.ts';

const PLAN_FILE = 'cluster.json';
const SECRET_BYTES = 24;

export interface PlanOptions {
  readonly folder: string;
  readonly servers: number;
  readonly strict: boolean;
  /** The first of two consecutive ports for each server; free ones when absent or 0. */
  readonly port?: number;
}

/** The plan that the folder has, or a new one; only `strict` may change from one start to the next. */
export async function planCluster(options: PlanOptions): Promise<ClusterPlan> {
  const plan = { ...(readPlan(options.folder) ?? (await newPlan(options))), strict: options.strict };
  for (const { folder } of plan.servers) mkdirSync(folder, { recursive: true, mode: 0o700 });
  writePrivateFile(join(options.folder, PLAN_FILE), `${JSON.stringify(plan, null, 2)}\n`);
  return plan;
}

/** Undefined where no cluster was ever started in the folder. */
export function readPlan(folder: string): ClusterPlan | undefined {
  const file = join(folder, PLAN_FILE);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ClusterPlan) : undefined;
}

async function newPlan({ folder, servers, strict, port = 0 }: PlanOptions): Promise<ClusterPlan> {
  const count = 2 * servers;
  const ports = port === 0 ? await freePorts(count) : Array.from({ length: count }, (_, n) => port + n);
  return {
    cluster: 'infrafabric',
    token: randomBytes(SECRET_BYTES).toString('base64url'),
    routePassword: randomBytes(SECRET_BYTES).toString('base64url'),
    strict,
    servers: Array.from({ length: servers }, (_, n) => ({
      name: `s${n + 1}`,
      port: ports[n] ?? 0,
      routePort: ports[servers + n] ?? 0,
      folder: join(folder, `s${n + 1}`),
    })),
  };
}

/** All held at once, so that no two are the same. */
async function freePorts(count: number): Promise<readonly number[]> {
  const probes = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(probes.map((probe) => once(probe, 'listening')));
  const ports = probes.map((probe) => (probe.address() as AddressInfo).port);
  await Promise.all(probes.map((probe) => once(probe.close(), 'close')));
  return ports;
}
