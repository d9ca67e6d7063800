/** What an actor tells workers, people and councils in words: an IFMessage that stays inside of the realm. */
import { type IFMessage, RECEIVERS_MAX, TTL_S_MAX } from '#schemas/if-message';

export interface Notice {
  /** Own address. */
  readonly self: string;
  readonly at: number;
  /** From 1, one more each. */
  readonly seq: number;
  /** Addresses. */
  readonly to: readonly string[];
  readonly topic: string;
  readonly content: { readonly action: string; readonly text: string; readonly [field: string]: unknown };
  /** Something has to be done about it. */
  readonly isGrave: boolean;
}

/** Signed by nobody: it does not leave the realm, whose log says who sent it. */
export function noticeOf({ self, at, seq, to, topic, content, isGrave }: Notice): IFMessage {
  return {
    id: `${self.replace('/', ':').slice(0, 110)}.${seq}`,
    ts: new Date(at).toISOString(),
    performative: isGrave ? 'escalate' : 'inform',
    from: `if://${self}`,
    to: (to.length === 0 ? [self] : to.slice(0, RECEIVERS_MAX)).map((address) => `if://${address}`),
    conversation: self,
    seq,
    ttl: TTL_S_MAX,
    topic,
    content,
    ...(isGrave && { hazard: { type: topic, severity: 'high', autoEscalate: true } }),
  };
}

/** As the receiver hears it. */
export function heardNotice(to: string, message: IFMessage) {
  return { to, event: { type: `if.${message.performative}`, message } };
}
