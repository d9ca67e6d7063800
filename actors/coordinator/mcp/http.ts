/**
 * The MCP server over streamable HTTP, for agents on this machine.
 *
 * H1  It listens on loopback only, and answers nobody without its token, compared in constant time.
 * H2  A page in a browser reaches nothing: the Host must be a name of loopback (DNS rebinding), and so must an Origin.
 * H3  Everything is bounded: sessions of clients, the size of a request. What opens no session leaves nothing behind.
 */
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import { FabricError } from '#schemas/fabric-error';
import { mcpErrors } from './errors.ts';
import { makeServer, type Served } from './server.ts';

const HOST = '127.0.0.1';
export const MCP_PATH = '/mcp';
const BODY_BYTES_MAX = 1024 * 1024;
/** Clients of the older protocol that are connected; the one that was silent for longest leaves. */
const SESSIONS_MAX = 64;

export interface HttpDoor extends AsyncDisposable {
  readonly url: string;
}

/** Throws `mcp_port_busy`. */
export async function openHttp(served: Served, token: string, port: number): Promise<HttpDoor> {
  const modern = createMcpHandler(() => makeServer(served, 'nobody'), {
    legacy: 'reject',
    maxRequestBodySize: BODY_BYTES_MAX,
  });
  const stopNews = served.news.listen({
    updated: (uris) => {
      for (const uri of uris) modern.notify.resourceUpdated(uri);
    },
    listChanged: () => modern.notify.resourcesChanged(),
    told: () => undefined,
  });
  const older = new OlderClients(served);
  const handler = toNodeHandler(
    {
      fetch: async (request) =>
        refusal(request, token) ??
        ((await isLegacyRequest(request, undefined, { maxRequestBodySize: BODY_BYTES_MAX }))
          ? await older.fetch(request)
          : await modern.fetch(request)),
    },
    { maxRequestBodySize: BODY_BYTES_MAX },
  );
  const server = createServer((request, response) => void handler(request as NodeRequest, response));
  server.listen(port, HOST);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new FabricError(mcpErrors.mcp_port_busy, `Port ${port} cannot be had`, { cause });
  }
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}${MCP_PATH}`,
    async [Symbol.asyncDispose]() {
      stopNews();
      await modern.close();
      await older.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Node says of fields which are there that they may be undefined. */
type NodeRequest = Parameters<ReturnType<typeof toNodeHandler>>[0];

/** H1, H2. */
function refusal(request: Request, token: string): Response | undefined {
  const foreign =
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins());
  if (foreign !== undefined) return foreign;
  if (new URL(request.url).pathname !== MCP_PATH) return new Response('not found\n', { status: 404 });
  const given = /^Bearer (\S{1,512})$/.exec(request.headers.get('authorization') ?? '')?.[1];
  if (given !== undefined && isSame(given, token)) return undefined;
  return new Response('a bearer token is needed\n', {
    status: 401,
    headers: { 'www-authenticate': 'Bearer realm="infrafabric"' },
  });
}

function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/** Clients that open with `initialize`: a server and a session each, which lives until they end it. */
class OlderClients {
  readonly #served: Served;
  /** The longest silent first. */
  readonly #sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();

  constructor(served: Served) {
    this.#served = served;
  }

  async fetch(request: Request): Promise<Response> {
    const id = request.headers.get('mcp-session-id');
    const known = id === null ? undefined : this.#sessions.get(id);
    if (id !== null && known !== undefined) {
      this.#sessions.delete(id);
      this.#sessions.set(id, known);
      return await known.handleRequest(request);
    }
    if (id !== null) return new Response('this session is over\n', { status: 404 });
    let isKept = false;
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      maxRequestBodySize: BODY_BYTES_MAX,
      onsessioninitialized: (session) => {
        isKept = true;
        return this.#keep(session, transport);
      },
      onsessionclosed: (session) => void this.#sessions.delete(session),
    });
    await makeServer(this.#served, 'connection').connect(transport);
    try {
      return await transport.handleRequest(request);
    } finally {
      // H3.
      if (!isKept) await transport.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((transport) => transport.close()));
    this.#sessions.clear();
  }

  /** H3. */
  async #keep(session: string, transport: WebStandardStreamableHTTPServerTransport): Promise<void> {
    this.#sessions.set(session, transport);
    const [oldest] = this.#sessions;
    if (this.#sessions.size <= SESSIONS_MAX || oldest === undefined) return;
    this.#sessions.delete(oldest[0]);
    await oldest[1].close();
  }
}
