/**
 * Whose the lease on an actor is: a session's presence is its own, and a claim is that of the worker whom the task names.
 *
 * O1  The task is asked each time: what it said before may be over.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import type { Clock } from '#runtime/shard/ports';
import { FabricError, type WireError } from '#schemas/fabric-error';
import { SESSION_TYPE } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';
import { claimErrors } from './errors.ts';

/** A shard moves to another node in less. */
const PATIENCE_MS = 5_000;
const AGAIN_MS = 100;

type Reply =
  | { readonly ok: true; readonly reply?: { readonly worker?: string | null } }
  | { readonly ok: false; readonly error: WireError };

/** Null for what nobody may have now, undefined for an actor of which it is not known. */
export type OwnerOf = (address: string) => Promise<string | null | undefined>;

export function ownerAsker(nc: NatsConnection, subjects: Subjects, clock: Clock): OwnerOf {
  /** O1. Throws `lease_unchecked`. */
  async function workerOf(address: string): Promise<string | null> {
    const deadline = clock.now() + PATIENCE_MS;
    for (;;) {
      try {
        const options = { timeout: PATIENCE_MS };
        const body = JSON.stringify({ type: 'task.get' });
        const answer = (await nc.request(subjects.ask(address), body, options)).json<Reply>();
        if (answer.ok) return answer.reply?.worker ?? null;
        // Nobody added it.
        if (!answer.error.retryable) return null;
        if (clock.now() >= deadline) throw new Error(answer.error.message);
      } catch (cause) {
        if (clock.now() >= deadline)
          throw new FabricError(claimErrors.lease_unchecked, `${address} did not say who has it`, { cause });
      }
      await new Promise<void>((resolve) => void clock.setTimer(resolve, AGAIN_MS));
    }
  }

  return async (address) => {
    const type = address.slice(0, address.indexOf('/'));
    if (type === SESSION_TYPE) return address;
    return type === TASK_TYPE ? await workerOf(address) : undefined;
  };
}
