/**
 * The process of a session: does every task it is offered, and ends when the board is done. Sessions named in
 * WORKER_MCP work through the MCP server, as an agent would that knows nothing else; the others through the client.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client as McpClient } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { openCoordinator } from '#actors/coordinator/client';
import { connect } from '#runtime/client/node';

/** Nobody waits for one to end: who was killed comes back and goes on. A busy machine renews late. */
const LEASE_MS = 15_000;
/** A task takes so long that a kill can hit it. */
const WORK_MS = 120;
/** Looks by itself as well: what is offered meanwhile is not waited for. */
const LOOK_EVERY_MS = 150;

interface Row {
  readonly id: string;
  readonly status: string;
  readonly filler: boolean;
}

/** What both doors can do. */
interface Door extends AsyncDisposable {
  mine(): Promise<readonly Row[]>;
  next(): Promise<Row | undefined>;
  all(): Promise<readonly Row[]>;
  claim(id: string): Promise<boolean>;
  progress(id: string, milestone: number): Promise<void>;
  block(id: string): Promise<void>;
  unblock(id: string): Promise<void>;
  complete(id: string): Promise<void>;
}

const env = (name: string): string => process.env[name] ?? '';
const self = env('INFRAFABRIC_SESSION');
const name = self.slice('session/'.length);
/** Tasks that this worker finds blocked by a person, until it has done a filler. */
const blocked = new Set(env('WORKER_BLOCKED').split(','));

writeFileSync(`${name}.pid`, String(process.pid));
await using door = env('WORKER_MCP').split(',').includes(name) ? await mcpDoor() : await clientDoor();
// What was held before a crash goes on; what was not done with is done first.
for (const { id, status } of await door.mine()) {
  if (status === 'blocked') await door.unblock(id);
  await finish(id);
}
for (;;) {
  const next = await door.next();
  // Fillers are kept for who is blocked.
  if (next !== undefined && !next.filler) {
    if (await door.claim(next.id)) await work(next);
    continue;
  }
  if ((await door.all()).every(({ status, filler }) => filler || status === 'completed')) break;
  await pause(LOOK_EVERY_MS);
}

async function work({ id }: Row): Promise<void> {
  await door.progress(id, 20);
  if (blocked.has(id)) {
    await door.block(id);
    while (!(await didFiller())) await pause(LOOK_EVERY_MS);
    await door.unblock(id);
  }
  await finish(id);
}

async function didFiller(): Promise<boolean> {
  const next = await door.next();
  if (next?.filler !== true) throw new Error(`blocked, and offered ${next?.id ?? 'nothing'}`);
  if (!(await door.claim(next.id))) return false;
  await finish(next.id);
  return true;
}

async function finish(id: string): Promise<void> {
  await door.progress(id, 50);
  await pause(WORK_MS);
  await door.complete(id);
}

async function clientDoor(): Promise<Door> {
  const client = await connect({ url: env('NATS_URL'), prefix: env('INFRAFABRIC_PREFIX'), from: self });
  const coordinator = openCoordinator(client, { leaseMs: LEASE_MS });
  const swarm = env('INFRAFABRIC_SWARM');
  await coordinator.registerSession({ capabilities: env('INFRAFABRIC_CAPABILITIES').split(','), swarm });
  const must = (reply: { readonly accepted: boolean }): void => {
    // A lease that ran out while this worker was slow: the task is free again, and the next look finds it.
    if (!reply.accepted) process.stderr.write(`${JSON.stringify(reply)}\n`);
  };
  return {
    mine: async () =>
      (await coordinator.tasks({ worker: self })).filter(({ status }) => status !== 'completed'),
    next: async () => (await coordinator.nextFor())[0]?.task,
    all: () => coordinator.tasks(),
    claim: async (id) => (await coordinator.claim(id)).won,
    progress: async (id, milestone) => must(await coordinator.progress(id, milestone)),
    block: async (id) => must(await coordinator.block(id, 'ops', 'person')),
    unblock: async (id) => must(await coordinator.unblock(id)),
    complete: async (id) => must(await coordinator.complete(id)),
    async [Symbol.asyncDispose]() {
      await coordinator.closeSession();
      await coordinator[Symbol.asyncDispose]();
      await client.close();
    },
  };
}

async function mcpDoor(): Promise<Door> {
  const client = new McpClient({ name, version: '1' });
  const entry = resolve(import.meta.dirname, '../../actors/infrafabric.js');
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [entry, 'mcp', '--lease', `${LEASE_MS / 1_000}s`],
      env: Object.fromEntries(Object.entries(process.env).map(([key, value]) => [key, value ?? ''])),
      stderr: 'inherit',
    }),
  );
  const call = async <T>(tool: string, given: Record<string, unknown> = {}): Promise<T | undefined> => {
    const { isError, structuredContent } = await client.callTool({ name: tool, arguments: given });
    if (isError === true) process.stderr.write(`${tool}: ${JSON.stringify(structuredContent)}\n`);
    return isError === true ? undefined : (structuredContent as T);
  };
  const list = async (given: Record<string, unknown>): Promise<readonly Row[]> =>
    (await call<{ tasks: Row[] }>('list_tasks', { limit: 500, ...given }))?.tasks ?? [];
  return {
    mine: () => list({ mine: true, status: ['claimed', 'in_progress', 'blocked'] }),
    next: async () => (await call<{ candidates: Row[] }>('next_task', { limit: 1 }))?.candidates[0],
    all: () => list({}),
    claim: async (id) => (await call('claim_task', { task: id })) !== undefined,
    progress: async (id, milestone) => void (await call('report_progress', { task: id, milestone })),
    block: async (id) => void (await call('block_task', { task: id, on: 'ops', kind: 'person' })),
    unblock: async (id) => void (await call('unblock_task', { task: id })),
    complete: async (id) => void (await call('complete_task', { task: id })),
    [Symbol.asyncDispose]: () => client.close(),
  };
}
