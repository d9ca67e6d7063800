/**
 * A stand-in for an S3-compatible store: no such server is to be had as a package. It speaks the part of the protocol
 * that archives use, PUT and GET of objects by path, and checks the SigV4 signature of every request with code of its own.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const ACCESS_KEY = 'AKIDTEST';
const SECRET = 'a secret of the test';

export class S3StandIn {
  readonly objects = new Map<string, Buffer>();
  /** Changes what is stored. */
  spoil: ((body: Uint8Array) => Uint8Array) | undefined;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<S3StandIn> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new S3StandIn(server);
  }

  get env(): Record<string, string> {
    const { port } = this.#server.address() as AddressInfo;
    return {
      AWS_ACCESS_KEY_ID: ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: SECRET,
      AWS_REGION: 'eu-test-1',
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const end = (status: number, content: Uint8Array | string = ''): void => {
      response.writeHead(status).end(content);
    };
    if (!isSigned(request, body)) return end(403, '<Error><Code>SignatureDoesNotMatch</Code></Error>');
    const key = decodeURIComponent((request.url ?? '/').slice(1));
    if (request.method === 'PUT') {
      this.objects.set(key, Buffer.from(this.spoil?.(body) ?? body));
      return end(200);
    }
    const found = this.objects.get(key);
    if (request.method !== 'GET') return end(405);
    return found === undefined ? end(404, '<Error><Code>NoSuchKey</Code></Error>') : end(200, found);
  }
}

/** AWS Signature Version 4, as its specification builds it up. */
function isSigned(request: IncomingMessage, body: Buffer): boolean {
  const { authorization = '' } = request.headers;
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (match === null || match[1] !== ACCESS_KEY) return false;
  const [, , day = '', region = '', names = '', signature = ''] = match;
  const claimed = String(request.headers['x-amz-content-sha256'] ?? '');
  if (claimed !== 'UNSIGNED-PAYLOAD' && claimed !== sha256(body)) return false;
  const headers = names.split(';').map((name) => `${name}:${String(request.headers[name] ?? '').trim()}\n`);
  const [path = '/', query = ''] = (request.url ?? '/').split('?');
  const canonical = [request.method, path, query, headers.join(''), names, claimed].join('\n');
  const toSign = [
    'AWS4-HMAC-SHA256',
    String(request.headers['x-amz-date']),
    `${day}/${region}/s3/aws4_request`,
    sha256(Buffer.from(canonical)),
  ].join('\n');
  const key = [day, region, 's3', 'aws4_request'].reduce<Buffer>(
    (last, part) => createHmac('sha256', last).update(part).digest(),
    Buffer.from(`AWS4${SECRET}`),
  );
  const due = createHmac('sha256', key).update(toSign).digest();
  return timingSafeEqual(due, Buffer.from(signature, 'hex'));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
