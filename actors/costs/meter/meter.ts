/**
 * The meter: a local HTTP endpoint in front of model providers that counts what is used, and lets nothing through that no budget
 * pays for.
 *
 * H1  Loopback unless the config says otherwise; nobody without a token gets further than the refusal.
 * H2  A page in a browser reaches nothing: the Host has to be the one that is listened on, and no Origin is taken.
 * H3  Everything is bounded: headers, bodies, calls under way, the time that a request may take to come in and a provider to speak.
 * H4  Keys of providers are read once, and stand in no answer, no log and no error.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import type { WireName } from '#schemas/meter';
import { costErrors } from '../errors.ts';
import type { Callers } from './callers.ts';
import type { Circuit, Passage } from './circuit.ts';
import { exchange, passOn, refusalOf } from './exchange.ts';
import { forwarded, returned, traceOf } from './headers.ts';
import { readRequest } from './request.ts';
import { type Payer, payerOf, type Route, routeOf } from './route.ts';
import type { Till } from './till.ts';
import type { Upstream } from './upstream.ts';
import { type Endpoint, type Refusal, refusalHeaders } from './wire.ts';
import { wireOf } from './wires.ts';

const HEADER_BYTES_MAX = 16 * 1_024;
const HEADERS_MS = 10_000;
/** To come in whole: the largest body over a slow loopback, many times over. */
const REQUEST_MS = 120_000;
/** Longer than SDKs keep a socket that they might use again. */
const KEEP_ALIVE_MS = 65_000;
/** All bodies that are in memory at a time, in bodies of the greatest size. */
const BODIES_MAX = 8;
/** For the rest of a request that is refused. */
const LINGER_MS = 2_000;
const DEGRADE_HEADER = 'if-degrade';
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];

export interface MeteredProvider {
  readonly wire: WireName;
  readonly upstream: Upstream;
  /** Its name in the price table. */
  readonly prices: string;
  /** Its models think in plain sight, or not at all. */
  readonly showsAll: boolean;
  /** Its breaker, where one is asked. */
  readonly circuit?: Circuit;
}

export interface MeterParts {
  readonly host: string;
  readonly port: number;
  readonly providers: ReadonlyMap<string, MeteredProvider>;
  readonly callers: Callers;
  readonly till: Till;
  readonly callsMax: number;
  readonly bodyBytesMax: number;
  readonly passesOthers: boolean;
  readonly failed: (error: WireError) => void;
}

export interface Meter extends AsyncDisposable {
  /** Without a path: providers stand below it, `<url>/openai/v1`. */
  readonly url: string;
}

/** Listens until it is disposed of; calls under way are then broken off and settled. Throws `meter_port_busy`. */
export async function openMeter(parts: MeterParts): Promise<Meter> {
  const desk = new Desk(parts);
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => void desk.serve(request, response),
  );
  server.maxConnections = parts.callsMax * 2;
  server.listen(parts.port, parts.host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new FabricError(costErrors.meter_port_busy, `${parts.host}:${parts.port} cannot be had`, { cause });
  }
  const { port } = server.address() as AddressInfo;
  const host = parts.host.includes(':') ? `[${parts.host}]` : parts.host;
  desk.hosts = new Set([...LOOPBACK, host].map((name) => `${name}:${port}`));
  return {
    url: `http://${host}:${port}`,
    async [Symbol.asyncDispose]() {
      await closed(server);
      await desk.settled();
      await parts.till[Symbol.asyncDispose]();
      for (const { upstream } of parts.providers.values()) upstream[Symbol.dispose]();
    },
  };
}

class Desk {
  hosts: ReadonlySet<string> = new Set();
  readonly #parts: MeterParts;
  readonly #underWay = new Set<Promise<void>>();
  /** Of bodies in memory. */
  #bytes = 0;

  constructor(parts: MeterParts) {
    this.#parts = parts;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const work = this.#answer(request, response).catch((thrown: unknown) => {
      this.#parts.failed(toWireError(thrown));
      response.destroy();
    });
    this.#underWay.add(work);
    await work;
    this.#underWay.delete(work);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // What breaks a socket is told by what is read or written next.
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const route = routeOf(request.url ?? '');
    const provider = route === undefined ? undefined : this.#parts.providers.get(route.provider);
    const wire = wireOf(provider?.wire ?? 'openai');
    const refusal = await this.#admit(request, response, route, provider);
    if (refusal === undefined || response.headersSent) return;
    const { status, body } = wire.refusal(refusal);
    response.writeHead(status, refusalHeaders(refusal)).end(JSON.stringify(body));
    // Who is still sending has a moment to hear it; a socket closed at once would take the refusal along.
    const timer = setTimeout(() => request.complete || request.destroy(), LINGER_MS);
    request.once('close', () => clearTimeout(timer)).resume();
  }

  async #admit(
    request: IncomingMessage,
    response: ServerResponse,
    route: Route | undefined,
    provider: MeteredProvider | undefined,
  ): Promise<Refusal | undefined> {
    const { callers, callsMax } = this.#parts;
    // H2.
    if (!this.hosts.has(request.headers.host ?? '') || request.headers.origin !== undefined)
      return { kind: 'forbidden', message: 'This host or origin is not served.' };
    // H1.
    const caller = callers.of(request.headers);
    if (caller === undefined)
      return { kind: 'no_token', message: 'The meter wants its token as the API key.' };
    if (route === undefined || provider === undefined)
      return { kind: 'not_found', message: 'There is no such provider: paths are /PROVIDER/v1/….' };
    const paying = payerOf(caller, route, request.headers);
    if (!paying.ok) return paying.refusal;
    // H3. This one is not among them yet.
    if (this.#underWay.size >= callsMax) return { kind: 'busy', message: `${callsMax} calls are under way.` };
    return await this.#forward(request, response, route, provider, paying.payer);
  }

  async #forward(
    request: IncomingMessage,
    response: ServerResponse,
    route: Route,
    provider: MeteredProvider,
    payer: Payer,
  ): Promise<Refusal | undefined> {
    const { bodyBytesMax, passesOthers } = this.#parts;
    const wire = wireOf(provider.wire);
    const endpoint = wire.endpoints.find(({ path }) => path === route.path);
    const isCounted = endpoint !== undefined && request.method === 'POST';
    if (!isCounted && !passesOthers)
      return {
        kind: 'not_found',
        message: `${request.method} ${route.path} is not counted, and not forwarded.`,
      };
    let taken = 0;
    const take = (bytes: number): boolean => {
      if (this.#bytes + bytes > bodyBytesMax * BODIES_MAX) return false;
      this.#bytes += bytes;
      taken += bytes;
      return true;
    };
    try {
      const read = await bodyOf(request, bodyBytesMax, take);
      if (!('body' in read)) return read;
      const path = `${route.path}${route.query}`;
      return isCounted
        ? await this.#counted(request, response, endpoint, provider, payer, path, read.body)
        : await passed(request, response, provider, path, read.body);
    } finally {
      this.#bytes -= taken;
    }
  }

  async #counted(
    request: IncomingMessage,
    response: ServerResponse,
    endpoint: Endpoint,
    provider: MeteredProvider,
    payer: Payer,
    path: string,
    body: Buffer,
  ): Promise<Refusal | undefined> {
    const { till } = this.#parts;
    if (
      !/^application\/json\b/i.test(request.headers['content-type'] ?? '') ||
      request.headers['content-encoding'] !== undefined
    )
      return {
        kind: 'bad_request',
        message: 'The meter cannot count this call: its body has to be plain application/json.',
      };
    const reading = readRequest(body.toString('utf8'), endpoint);
    if (!reading.ok) return reading.refusal;
    const { wanted } = reading;
    const holding = await till
      .hold({
        id: randomUUID(),
        provider: provider.prices,
        model: wanted.model,
        payer,
        bodyBytes: body.byteLength,
        outputMax: wanted.outputMax,
        choices: wanted.choices,
        hasOutput: endpoint.outputLimits.length > 0,
        traceparent: traceOf(request.headers['traceparent']).traceparent,
      })
      .catch((thrown: unknown) => this.#away(thrown));
    if (!holding.ok) return holding.refusal;
    // Last of all: who is let through as a probe does go.
    const passage = await this.#passage(provider);
    if (!passage.ok) {
      till.giveBack(holding.held);
      return passage.refusal;
    }
    const { degrade } = holding.held;
    if (degrade !== null)
      response.setHeader(DEGRADE_HEADER, degrade.to === 'model' ? `model=${degrade.model}` : 'queue');
    return await exchange({
      till,
      upstream: provider.upstream,
      circuit: provider.circuit,
      isProbe: passage.isProbe,
      endpoint,
      showsAll: provider.showsAll,
      wanted,
      held: holding.held,
      path,
      request,
      response,
    });
  }

  #passage({ circuit }: MeteredProvider): Promise<Passage> {
    if (circuit === undefined) return Promise.resolve({ ok: true, isProbe: false });
    return circuit.may().catch((thrown: unknown) => this.#away(thrown));
  }

  #away(thrown: unknown): { readonly ok: false; readonly refusal: Refusal } {
    this.#parts.failed(toWireError(thrown));
    return {
      ok: false,
      refusal: { kind: 'realm_away', message: 'The realm does not answer: nothing can be charged.' },
    };
  }
}

/** Nobody counts it. */
async function passed(
  request: IncomingMessage,
  response: ServerResponse,
  { upstream }: MeteredProvider,
  path: string,
  body: Buffer,
): Promise<Refusal | undefined> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    const headers = { ...forwarded(request.headers, upstream), ...trace(request) };
    const answer = await upstream.send(request.method ?? 'GET', path, headers, body, gone.signal);
    response.writeHead(answer.statusCode ?? 502, returned(answer.headers));
    await passOn(answer, response, gone.signal);
    return undefined;
  } catch (thrown) {
    return gone.signal.aborted ? undefined : refusalOf(thrown);
  }
}

function trace(request: IncomingMessage): Record<string, string> {
  return { traceparent: traceOf(request.headers['traceparent']).traceparent };
}

/** H3. */
async function bodyOf(
  request: IncomingMessage,
  max: number,
  take: (bytes: number) => boolean,
): Promise<{ readonly body: Buffer } | Refusal> {
  const tooLarge: Refusal = { kind: 'too_large', message: `A request has ${max} bytes at most.` };
  if (Number(request.headers['content-length'] ?? 0) > max) return tooLarge;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      if (bytes > max) return tooLarge;
      if (!take(chunk.byteLength)) return { kind: 'busy', message: 'Other requests take all the room.' };
      chunks.push(chunk);
    }
  } catch {
    return { kind: 'bad_request', message: 'The request broke off.' };
  }
  return { body: Buffer.concat(chunks) };
}

async function closed(server: Server): Promise<void> {
  const ended = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await ended;
}
