/** The asking side of the bare loop. */
import { connect } from '@nats-io/transport-node';
import { Packr } from 'msgpackr';
import { fnv1a } from '#runtime/bus/subjects';
import type { Bus } from '../rig.ts';

export interface LimitClient extends AsyncDisposable {
  ask(actor: string): Promise<unknown>;
}

export async function limitClient({ servers, token }: Bus, loops: number): Promise<LimitClient> {
  const packr = new Packr({ useRecords: false });
  const nc = await connect({ servers: [...servers], ...(token !== undefined && { token }) });
  const inbox = `_LIMIT.${process.pid}`;
  const pending = new Map<string, (reply: unknown) => void>();
  let next = 0;
  nc.subscribe(`${inbox}.*`, {
    callback: (error, message) => {
      if (error !== null && error !== undefined) throw error;
      const id = message.subject.slice(inbox.length + 1);
      const done = pending.get(id);
      pending.delete(id);
      done?.(packr.unpack(message.data));
    },
  });
  await nc.flush();
  return {
    ask: (actor) =>
      new Promise((resolve) => {
        const id = String(next++);
        pending.set(id, resolve);
        const subject = `limit.ask.${loops === 1 ? 0 : fnv1a(actor) % loops}.counter.${actor}`;
        nc.publish(subject, packr.pack({ ev: { type: 'inc' }, r: `${inbox}.${id}` }));
      }),
    [Symbol.asyncDispose]: () => nc.close(),
  };
}
