/**
 * Who a message is from. Ids of messages are kept apart by sender, so a name that is not its writer's could have
 * another's message taken for one that was handled before.
 *
 * S1  In a secure realm an ask from outside comes from the owner of the key that the server says it came with, whatever
 *     `If-From` claims. One without that word came from the realm's own account: a node, or an operator. One whose word
 *     cannot be read came from outside, from nobody: it is refused.
 * S2  The server says nothing of what it stores. A send there cannot take the name of a proven sender: names like an
 *     address count for nothing, all others are in a space of claims.
 */
import { kidOf } from '#runtime/edge/sign';
import { publicKeyOfNkey } from '#runtime/keys/nkey';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';
import type { MessageHeaders } from './message-headers.ts';

export interface Senders {
  /** Throws `sender_unreadable`. */
  readonly ofAsk: (headers: MessageHeaders) => string | undefined;
  readonly ofSend: (headers: MessageHeaders) => string | undefined;
}

/** Keys whose kid is kept at hand. */
const KIDS_MAX = 10_000;

/** Names are what senders say. */
export const claimedSenders: Senders = { ofAsk: ({ from }) => from, ofSend: ({ from }) => from };

/** S1, S2. `ownerOf` knows the registry; a key that is not in it is its own name. */
export function provenSenders(ownerOf: (kid: string) => string | undefined): Senders {
  const kids = new Map<string, string>();
  const kidFor = (nkey: string): string => {
    const known = kids.get(nkey);
    if (known !== undefined) return known;
    if (kids.size >= KIDS_MAX) kids.clear();
    const kid = kidOf(publicKeyOfNkey(nkey));
    kids.set(nkey, kid);
    return kid;
  };
  return {
    ofAsk({ info, from }) {
      if (info === undefined) return from;
      try {
        const { user } = JSON.parse(info) as { readonly user: string };
        return ownerOf(kidFor(user)) ?? user;
      } catch (cause) {
        throw new FabricError(busErrors.sender_unreadable, 'The headers do not tell who sent the message', {
          cause,
        });
      }
    },
    ofSend: ({ from }) => (from?.includes('/') === true ? undefined : from),
  };
}
