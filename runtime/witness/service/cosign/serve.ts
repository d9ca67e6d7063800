/** The HTTP side of a cosigner: `POST /add-checkpoint` and nothing else. */
import type { Logger } from '#runtime/shard/ports';
import { type HttpListener, listenHttp } from '../http-listener.ts';
import { BODY_BYTES_MAX, type Cosigner } from './cosigner.ts';

export interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
}

export async function serveCosigner(cosigner: Cosigner, options: ServeOptions): Promise<HttpListener> {
  return await listenHttp({
    ...options,
    bodyBytesMax: BODY_BYTES_MAX,
    handle: async ({ method, path, body }) => {
      if (path !== '/add-checkpoint') return { status: 404, body: 'Only /add-checkpoint is here\n' };
      if (method !== 'POST') return { status: 405, body: 'Only POST\n', headers: { allow: 'POST' } };
      const reply = cosigner.addCheckpoint(body);
      options.logger.debug({ status: reply.status }, 'add_checkpoint');
      return reply;
    },
  });
}
