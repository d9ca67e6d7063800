/** Tasks, sessions, swarms and workers as nodes know them: pages of the admin API, turned into views. */
import type { NatsConnection } from '@nats-io/nats-core';
import type { RegistryContext } from '#machines/registry';
import { type SessionContext, sessionView } from '#machines/session/context';
import { type SwarmContext, swarmView } from '#machines/swarm';
import type { TaskContext } from '#machines/task/context';
import { viewOf } from '#machines/task/view';
import { type WorkerContext, workerView } from '#machines/worker/context';
import type { Subjects } from '#runtime/bus/subjects';
import { apiRequest, type ListReply, type NodeStatus } from '#runtime/node/api';
import type { AssignmentRules } from '#schemas/assignment';
import { SESSION_TYPE, type SessionView } from '#schemas/session';
import { SWARM_TYPE, type SwarmView } from '#schemas/swarm';
import { TASK_TYPE } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { REGISTRY_TYPE, WORKER_TYPE, type WorkerView } from '#schemas/worker';

/** What a query needs. */
export interface Source {
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  /** Shards of the realm. */
  readonly shards: number;
}

/** How many shards a realm has, by the first node that answers. Throws `realm_unreachable`. */
export async function shardsOf(nc: NatsConnection, subjects: Subjects): Promise<number> {
  return (await apiRequest<NodeStatus>(nc, subjects.api('status'))).shardCount ?? 1;
}

export async function listTasks(source: Source): Promise<TaskView[]> {
  const contexts = (await contextsOf(source, TASK_TYPE)) as readonly TaskContext[];
  return contexts.filter(({ status }) => status !== 'absent').map(viewOf);
}

export async function listSessions(source: Source): Promise<SessionView[]> {
  const contexts = (await contextsOf(source, SESSION_TYPE)) as readonly SessionContext[];
  return contexts.filter(({ status }) => status !== 'absent').map(sessionView);
}

export async function listSwarms(source: Source): Promise<SwarmView[]> {
  const contexts = (await contextsOf(source, SWARM_TYPE)) as readonly SwarmContext[];
  return contexts.filter(({ status }) => status !== 'absent').map(swarmView);
}

export async function listWorkers(source: Source): Promise<WorkerView[]> {
  const contexts = (await contextsOf(source, WORKER_TYPE)) as readonly WorkerContext[];
  return contexts.filter(({ status }) => status !== 'absent').map(workerView);
}

/** Of the registry; undefined where there is none. */
export async function rulesOf(source: Source): Promise<AssignmentRules | undefined> {
  const contexts = (await contextsOf(source, REGISTRY_TYPE)) as readonly RegistryContext[];
  return contexts[0]?.rules;
}

/** Contexts of the actors of a kind, where they run the machine of that name. */
export async function contextsOf({ nc, subjects, shards }: Source, type: string): Promise<unknown[]> {
  const lists = await Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const contexts: unknown[] = [];
      let after: string | undefined;
      do {
        const request = { type, context: true, ...(after !== undefined && { after }) };
        const page = await apiRequest<ListReply>(nc, subjects.api(`shard.${shard}.list`), request);
        // A kind of this name may run a machine of somebody else's.
        const ours = page.actors.filter(({ machine }) => machine.startsWith(`${type}@`));
        contexts.push(...ours.map(({ context }) => context));
        after = page.next;
      } while (after !== undefined);
      return contexts;
    }),
  );
  return lists.flat();
}
