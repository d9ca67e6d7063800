/** Orders for effects over core NATS, each node on a subject of its own. */
import type { NatsConnection } from '@nats-io/nats-core';
import type { EffectLink, LinkMessage } from '#runtime/effects/link';
import type { Logger } from '#runtime/shard/ports';
import { toWireError } from '#schemas/fabric-error';
import { closeSubscription } from './close-subscription.ts';
import { decode, encode } from './codec.ts';
import type { Subjects } from './subjects.ts';

export function natsEffects(
  nc: NatsConnection,
  subjects: Subjects,
  nodeId: string,
  logger: Logger,
): EffectLink {
  return {
    send(to, message) {
      nc.publish(subjects.effect(to), encode(message));
    },
    open(hear) {
      const subscription = nc.subscribe(subjects.effect(nodeId), {
        callback: (error, m) => {
          if (error !== null) return;
          try {
            hear(decode(m.data) as LinkMessage);
          } catch (thrown) {
            logger.warn({ error: toWireError(thrown) }, 'effects.bad_order');
          }
        },
      });
      return { close: () => closeSubscription(nc, subscription) };
    },
  };
}
