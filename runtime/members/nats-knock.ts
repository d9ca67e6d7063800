/** The door at which nodes hear whether a node is there: a core NATS subject that it alone listens on. */
import { type NatsConnection, RequestError } from '@nats-io/nats-core';
import { isAnswerable } from '#runtime/bus/reply-guard';
import type { Subjects } from '#runtime/bus/subjects';
import type { Knock } from './vigil.ts';

/** A request that a node died with is never answered, and the next look has to come soon after (V1). */
const ANSWER_TIMEOUT_MS = 250;

/** Answers at the door of this node for as long as the connection is there. */
export function openDoor(nc: NatsConnection, subjects: Subjects, nodeId: string): void {
  nc.subscribe(doorOf(subjects, nodeId), {
    callback: (error, m) => {
      if (error === null && isAnswerable(m.reply ?? '', subjects.prefix)) m.respond();
    },
  });
}

export async function knock(nc: NatsConnection, subjects: Subjects, nodeId: string): Promise<Knock> {
  try {
    await nc.request(doorOf(subjects, nodeId), undefined, { timeout: ANSWER_TIMEOUT_MS });
    return 'there';
  } catch (thrown) {
    return thrown instanceof RequestError && thrown.isNoResponders() ? 'nobody' : 'unclear';
  }
}

function doorOf(subjects: Subjects, nodeId: string): string {
  return subjects.api(`node.${nodeId}.ping`);
}
