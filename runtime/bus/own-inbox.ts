/** A subject for answers that only this connection hears. */
import { type NatsConnection, Nuid } from '@nats-io/nats-core';

const INBOX = '_INBOX';

/** The client keeps its options; its types do not tell. Pinned with its version. */
interface WithOptions {
  readonly options?: { readonly inboxPrefix?: string };
}

/**
 * Under the connection's own prefix where it has one: with rights, it may hear nothing else. Its random part comes from
 * nothing that is told to anybody: message ids are made with the client's generator, and its ids follow one another.
 */
export function ownInbox(nc: NatsConnection): string {
  return `${(nc as unknown as WithOptions).options?.inboxPrefix ?? INBOX}.${new Nuid().next()}`;
}
