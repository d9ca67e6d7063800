/** The asking side of the bare loop. */
import { connect } from '@nats-io/transport-node';
import { Packr } from 'msgpackr';

export interface LimitClient extends AsyncDisposable {
  ask(actor: string): Promise<unknown>;
}

export async function limitClient(url: string): Promise<LimitClient> {
  const packr = new Packr({ useRecords: false });
  const nc = await connect({ servers: url });
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
        nc.publish(`limit.ask.counter.${actor}`, packr.pack({ ev: { type: 'inc' }, r: `${inbox}.${id}` }));
      }),
    [Symbol.asyncDispose]: () => nc.close(),
  };
}
