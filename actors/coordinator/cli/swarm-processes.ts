/** The processes of a swarm: what became of them, and waiting for it. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Realm } from '#runtime/cli/realm';
import { cut } from '#runtime/cli/render/format';
import { nodeErrors } from '#runtime/node/errors';
import { FabricError } from '#schemas/fabric-error';
import { SUPERVISOR_TYPE } from '#schemas/supervisor';
import { RUNNER_TYPE, type SwarmTemplate, type SwarmView, sessionsOf } from '#schemas/swarm';
import { coordinatorErrors } from '../errors.ts';
import { sessionProcesses } from '../processes.ts';
import type { CoordinatorClient } from '../types.ts';

export const FAILED = 'failed';
const RUNNING = 'running';
const ENDED = 'done';
/** What a supervisor has done cannot be awaited from outside, only looked at. */
const LOOK_EVERY_MS = 50;

export function membersOf({ template, sessions }: SwarmView): string[] {
  const planned = template === null ? [] : sessionsOf(template).map(({ id }) => id);
  return [...new Set([...planned, ...sessions])];
}

/** Throws `session_of_another` where another swarm that runs has a session of this one: it has one process. */
export async function noneOfAnother(coordinator: CoordinatorClient, template: SwarmTemplate): Promise<void> {
  const wanted = new Set(sessionsOf(template).map(({ id }) => id));
  const others = await coordinator.swarms().catch((thrown: unknown) => {
    if (isUnseen(thrown)) return [];
    throw thrown;
  });
  for (const other of others) {
    if (other.id === template.id || other.status === 'stopped' || other.template?.process === undefined)
      continue;
    const [session] = sessionsOf(other.template).filter(({ id }) => wanted.has(id));
    if (session === undefined) continue;
    const message = `Session ${session.id} of swarm ${template.id} has its process in swarm ${other.id}`;
    throw new FabricError(coordinatorErrors.session_of_another, message, {
      details: { session: session.id, swarm: other.id },
    });
  }
}

/** State of the actor that runs a session's process, by session. */
export async function runnersOf(realm: Realm): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { address, status, value } of realm.actors({ type: RUNNER_TYPE })) {
    found.set(
      address.slice(RUNNER_TYPE.length + 1),
      status === 'active' ? String(value) : status === 'error' ? FAILED : status,
    );
  }
  return found;
}

/** Why the process of a session is not there any more, in a line. */
export async function failureOf(realm: Realm, session: string): Promise<string> {
  const { error } = await realm.show(`${RUNNER_TYPE}/${session}`);
  const { message = 'no reason was given', code } = (error ?? {}) as {
    readonly message?: string;
    readonly code?: unknown;
  };
  const exit = typeof code === 'number' ? `, exit code ${code}` : '';
  return `${cut(message, 80)}${exit}: \`infrafabric show ${RUNNER_TYPE}/${session}\` says more`;
}

/** What can be said of the processes of a swarm after a while. */
export type Started = 'running' | 'waiting for its budget' | 'its processes are not shown to this key';

/**
 * Resolves once every session of a swarm has had a process, its budget keeps it from that, or nobody here may see it.
 * Throws `swarm_not_started` where the swarm gave up, or the time is over.
 */
export async function allStarted(
  realm: Realm,
  coordinator: CoordinatorClient,
  { id, template }: SwarmView,
  timeoutMs: number,
): Promise<Started> {
  const missing = new Set(template === null ? [] : sessionsOf(template).map((session) => session.id));
  try {
    for (const deadline = Date.now() + timeoutMs; ; ) {
      const status = (await coordinator.swarm(id))?.status;
      const isOver = Date.now() > deadline || status === 'stopped';
      const { running } = await sessionProcesses(realm.connection, realm.subjects);
      const runners = await runnersOf(realm);
      for (const session of missing)
        if (running.has(session) || runners.get(session) === ENDED) missing.delete(session);
      if (missing.size === 0) return 'running';
      if (isOver) throw await notStarted(realm, id, [...missing], runners);
      if (status === 'exhausted' || (await isHalted(realm, id))) return 'waiting for its budget';
      await pause(LOOK_EVERY_MS);
    }
  } catch (thrown) {
    if (isUnseen(thrown)) return 'its processes are not shown to this key';
    throw thrown;
  }
}

/** The key may not look. */
function isUnseen(thrown: unknown): boolean {
  return thrown instanceof FabricError && thrown.code === nodeErrors.api_refused.code;
}

/** Its budget has stopped its supervisor (S6 of machines/supervision.ts). */
async function isHalted(realm: Realm, id: string): Promise<boolean> {
  for await (const { address, value } of realm.actors({ type: SUPERVISOR_TYPE }))
    if (address === `${SUPERVISOR_TYPE}/swarm:${id}`) return value === 'halted';
  return false;
}

/** Resolves once no process of a stopped swarm is there. Throws `swarm_still_runs`, also where it was formed again meanwhile. */
export async function allEnded(
  realm: Realm,
  coordinator: CoordinatorClient,
  swarm: SwarmView,
  timeoutMs: number,
): Promise<void> {
  const sessions = membersOf(swarm);
  for (const deadline = Date.now() + timeoutMs; ; ) {
    const runners = await runnersOf(realm);
    let left = sessions.filter((session) => runners.get(session) === RUNNING);
    if (left.length === 0) {
      const { running, ending } = await sessionProcesses(realm.connection, realm.subjects);
      left = sessions.filter((session) => running.has(session) || ending.has(session));
    }
    if (left.length === 0) return;
    if ((await coordinator.swarm(swarm.id))?.status !== 'stopped')
      throw new FabricError(coordinatorErrors.swarm_still_runs, `${swarm.id} was formed again meanwhile`);
    if (Date.now() > deadline)
      throw new FabricError(coordinatorErrors.swarm_still_runs, `${left.join(', ')} still run`);
    await pause(LOOK_EVERY_MS);
  }
}

async function notStarted(
  realm: Realm,
  id: string,
  missing: readonly string[],
  runners: ReadonlyMap<string, string>,
): Promise<FabricError> {
  const [first = ''] = missing.filter((session) => runners.get(session) === FAILED);
  const why = first === '' ? '' : `. ${first}: ${await failureOf(realm, first)}`;
  return new FabricError(
    coordinatorErrors.swarm_not_started,
    `No process of ${missing.join(', ')} in swarm ${id} runs${why}`,
    { details: { id, sessions: missing } },
  );
}
