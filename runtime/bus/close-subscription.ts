/** The end of a subscription that loses nothing: what the server has sent by then is still taken. */
import type { NatsConnection, Subscription } from '@nats-io/nats-core';

/** A server that is there answers within a round trip; one that is away sends nothing that could be lost. */
const DRAIN_MS_MAX = 500;

export async function closeSubscription(nc: NatsConnection, subscription: Subscription): Promise<void> {
  if (nc.isClosed() || subscription.isClosed()) return;
  const drained = subscription.drain();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, DRAIN_MS_MAX);
  });
  // Rejected where the connection closes meanwhile: nothing comes any more then.
  await Promise.race([drained.catch(() => undefined), late]);
  clearTimeout(timer);
}
