/**
 * A small HTTP server for machines: bounded in what it reads, how long it waits and how many it serves at once.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '#runtime/shard/ports';
import { toWireError } from '#schemas/fabric-error';

const CONNECTIONS_MAX = 256;
const HEADER_BYTES_MAX = 8 * 1024;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;
const TEXT = 'text/plain; charset=utf-8';

export interface HttpRequest {
  readonly method: string;
  /** Without query; as it was sent, not decoded. */
  readonly path: string;
  /** Of a POST; empty otherwise. */
  readonly body: Uint8Array;
}

export interface HttpReply {
  readonly status: number;
  /** `text/plain; charset=utf-8` when absent. */
  readonly type?: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly bodyBytesMax: number;
  readonly handle: (request: HttpRequest) => Promise<HttpReply>;
  readonly logger: Logger;
}

export interface HttpListener {
  readonly url: string;
  close(): Promise<void>;
}

/** Resolves once it takes connections. Rejects with what the system says of the address. */
export async function listenHttp(options: HttpOptions): Promise<HttpListener> {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => void serve(request, response, options),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.listen(options.port, options.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    url: `http://${host}:${port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { handle, bodyBytesMax, logger }: HttpOptions,
): Promise<void> {
  let reply: HttpReply;
  try {
    const body = request.method === 'POST' ? await readBody(request, bodyBytesMax) : new Uint8Array();
    reply =
      body === undefined
        ? { status: 413, body: 'The body is too long\n', headers: { connection: 'close' } }
        : await handle({ method: request.method ?? '', path: pathOf(request.url ?? ''), body });
  } catch (thrown) {
    if (request.destroyed && !request.complete) return;
    logger.warn({ path: pathOf(request.url ?? '').slice(0, 200), error: toWireError(thrown) }, 'http_failed');
    reply = { status: 500, body: 'Something failed here; the log of the server says what\n' };
  }
  const { status, type = TEXT, body, headers = {} } = reply;
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(status, {
    'content-type': type,
    'content-length': bytes.byteLength,
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

/** Undefined where there is more than may be. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Left early, the request stays open for the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function pathOf(url: string): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}
