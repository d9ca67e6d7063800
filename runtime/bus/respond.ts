/** Answers of a node that may be on its way out. */
import { errors, type Msg } from '@nats-io/nats-core';

/** Answers, as long as there is a connection to do it on: where it has closed, who asked hears of that from the server. */
export function respond(message: Msg, body: string): void {
  try {
    message.respond(body);
  } catch (thrown) {
    if (!isGone(thrown)) throw thrown;
  }
}

/** True for what is thrown where a connection has closed, or is closing. */
export function isGone(thrown: unknown): boolean {
  return thrown instanceof errors.ClosedConnectionError || thrown instanceof errors.DrainingConnectionError;
}
