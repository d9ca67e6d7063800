/** The client in browsers and any runtime with a WebSocket: nothing it imports needs Node. */
import { wsconnect } from '@nats-io/nats-core';
import { FabricError } from '#schemas/fabric-error';
import { type Client, clientOver } from './client.ts';
import { clientErrors } from './errors.ts';
import type { ClientOptions } from './types.ts';

export interface BrowserConnectOptions extends ClientOptions {
  /** `ws://` or `wss://`: `websocketUrl` of the run file. */
  readonly url: string;
  readonly token?: string;
}

/** Connects, and reconnects for as long as the client is open. Throws `connect_failed`. */
export async function connect(options: BrowserConnectOptions): Promise<Client> {
  const { url, token } = options;
  try {
    const connection = await wsconnect({
      servers: url,
      maxReconnectAttempts: -1,
      ...(token !== undefined && { token }),
    });
    return await clientOver(connection, options);
  } catch (cause) {
    if (cause instanceof FabricError) throw cause;
    throw new FabricError(clientErrors.connect_failed, 'No connection to the NATS server', { cause });
  }
}

export { Client } from './client.ts';
export type { ActorHandle, EventsOf } from './handle.ts';
export { memorySequences } from './sequence.ts';
export type * from './types.ts';
