/** The connection to a provider: requests with its key, over sockets that are kept. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { FabricError } from '#schemas/fabric-error';
import { costErrors } from '../errors.ts';

/** Shorter than what servers keep a silent socket for, so that few requests meet one that is just being closed. */
const IDLE_SOCKET_MS = 4_000;
const HEADER_BYTES_MAX = 64 * 1_024;

export interface UpstreamOptions {
  readonly url: string;
  /** Header with the key; undefined: none, or that of the caller. */
  readonly key: readonly [string, string] | undefined;
  readonly isKeyOfCaller: boolean;
  readonly socketsMax: number;
  /** Without a byte for so long, it is given up. */
  readonly silenceMs: number;
}

export class Upstream implements Disposable {
  readonly key: readonly [string, string] | undefined;
  readonly isKeyOfCaller: boolean;
  readonly #base: URL;
  readonly #agent: HttpAgent;
  readonly #silenceMs: number;

  constructor({ url, key, isKeyOfCaller, socketsMax, silenceMs }: UpstreamOptions) {
    this.key = key;
    this.isKeyOfCaller = isKeyOfCaller;
    this.#base = new URL(url);
    const Agent = this.#base.protocol === 'https:' ? HttpsAgent : HttpAgent;
    this.#agent = new Agent({ keepAlive: true, maxSockets: socketsMax, timeout: IDLE_SOCKET_MS });
    this.#silenceMs = silenceMs;
  }

  /**
   * Resolves with the beginning of the answer. A call is sent once: nobody knows what a provider did with one that it did not answer,
   * and callers try again by themselves. Throws `provider_silent`, and what goes wrong with a connection.
   * `sent` is called once all of it has left.
   */
  send(
    method: string,
    path: string,
    headers: Record<string, string | string[]>,
    body: Buffer,
    signal: AbortSignal | undefined,
    sent?: () => void,
  ): Promise<IncomingMessage> {
    const { protocol, hostname, port, pathname } = this.#base;
    const start = protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const request = start({
        agent: this.#agent,
        method,
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        path: `${pathname.replace(/\/$/, '')}${path}`,
        headers: { ...headers, ...(body.byteLength > 0 && { 'content-length': body.byteLength }) },
        maxHeaderSize: HEADER_BYTES_MAX,
        ...(signal !== undefined && { signal }),
      });
      const silent = (): void => {
        const message = `The provider said nothing for ${this.#silenceMs / 1_000} s`;
        request.destroy(new FabricError(costErrors.provider_silent, message));
      };
      request.setTimeout(this.#silenceMs, silent);
      request.once('response', resolve);
      // Later errors reach who reads the answer, too.
      request.on('error', reject);
      if (sent !== undefined) request.once('finish', sent);
      request.end(body);
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
