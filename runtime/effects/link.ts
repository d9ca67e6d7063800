/** Carries orders for effects between nodes. It may lose and repeat: both sides reckon with that. */
import type { EffectResult, PendingEffect } from '#runtime/shard/ports';

export type LinkMessage =
  /** Run it, or say its result again. */
  | { readonly kind: 'start'; readonly from: string; readonly shard: number; readonly effect: PendingEffect }
  | { readonly kind: 'cancel'; readonly key: string }
  | { readonly kind: 'done'; readonly shard: number; readonly result: EffectResult };

export interface EffectLink {
  /** Sends to a node by its id; whether it arrives is not known. Throws where it cannot even be sent. */
  send(nodeId: string, message: LinkMessage): void;
  /** Hears what is sent to this node, until closed. */
  open(hear: (message: LinkMessage) => void): { close(): Promise<void> };
}

/** What a node sends to itself does not go over the bus, and arrives while that is away; as there, after `send` returned. */
export function withSelf(link: EffectLink, nodeId: string): EffectLink {
  let own: ((message: LinkMessage) => void) | undefined;
  return {
    send(to, message) {
      if (to === nodeId) queueMicrotask(() => own?.(message));
      else link.send(to, message);
    },
    open(hear) {
      own = hear;
      const opened = link.open(hear);
      return {
        async close() {
          own = undefined;
          await opened.close();
        },
      };
    },
  };
}
