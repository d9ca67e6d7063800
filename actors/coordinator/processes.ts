/**
 * Which processes of sessions there are, on all nodes: an actor has stopped before its process has ended.
 *
 * `<prefix>.api.processes`: one reply from every node.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import { ReplyGuard } from '#runtime/bus/reply-guard';
import { respond } from '#runtime/bus/respond';
import type { Subjects } from '#runtime/bus/subjects';
import type { DriverRealm } from '#runtime/effects/driver';
import { apiRequestAll } from '#runtime/node/api';
import { nodeErrors } from '#runtime/node/errors';
import { FabricError } from '#schemas/fabric-error';

const VERB = 'processes';

export interface SessionProcesses {
  /** Ids of the sessions whose process runs. */
  readonly running: readonly string[];
  /** Of those whose process was told to end, and has not. */
  readonly ending: readonly string[];
}

/** Answers what `look` gives, until it is disposed of. */
export function serveProcesses(
  { nc, subjects, logger }: DriverRealm,
  look: () => SessionProcesses,
): AsyncDisposable {
  const guard = new ReplyGuard(subjects.prefix, logger);
  const subscription = nc.subscribe(subjects.api(VERB), {
    callback: (error, message) => {
      if (error === null && guard.accepts(message)) respond(message, JSON.stringify({ ok: true, ...look() }));
    },
  });
  return {
    async [Symbol.asyncDispose]() {
      subscription.unsubscribe();
    },
  };
}

/** Throws `api_refused`; where no node is there, there are none. */
export async function sessionProcesses(
  nc: NatsConnection,
  subjects: Subjects,
): Promise<{ readonly running: ReadonlySet<string>; readonly ending: ReadonlySet<string> }> {
  const replies = await apiRequestAll<SessionProcesses>(nc, subjects.api(VERB)).catch((thrown: unknown) => {
    if (thrown instanceof FabricError && thrown.code === nodeErrors.realm_unreachable.code) return [];
    throw thrown;
  });
  return {
    running: new Set(replies.flatMap(({ running }) => running)),
    ending: new Set(replies.flatMap(({ ending }) => ending)),
  };
}
