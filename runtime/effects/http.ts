/**
 * Driver `http`: one request over HTTP.
 *
 * H1  Nothing is sent to a host that the config does not list, redirects included.
 * H2  A secret reaches only the origin the request was meant for, and neither log nor journal.
 * H3  The effect's key goes along as `Idempotency-Key`, the same at every attempt.
 * H4  Answers below 500 are outcomes for the machine to judge, except 408, 425 and 429; those, 5xx and network
 *     failures are tried again, not before `Retry-After`.
 */
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import type { Driver, EffectCall } from './driver.ts';
import { effectErrors } from './errors.ts';
import { readBody } from './http-body.ts';
import { checkUrl } from './http-guard.ts';
import { hasSecret, resolveSecrets } from './secrets.ts';

export interface HttpDriverOptions {
  /** `host`, `host:port` or `*.domain`; none by default. */
  readonly allowHosts?: readonly string[];
  /** Lets listed names resolve to private addresses. */
  readonly allowPrivate?: boolean;
  /** Variables of the node's environment that headers may name as `${env:NAME}`. */
  readonly allowEnv?: readonly string[];
  readonly bodyBytesMax?: number;
  readonly redirectsMax?: number;
  /** The first answer counts, by its status alone: no redirect is followed, and no body read. */
  readonly statusOnly?: boolean;
}

/** What a machine gives as input. */
export const httpInputSchema = z.strictObject({
  url: z.url(),
  method: z
    .string()
    .regex(/^[A-Za-z]{1,20}$/)
    .default('GET'),
  headers: z.record(z.string(), z.string()).default({}),
  body: z.union([z.string(), z.instanceof(Uint8Array)]).optional(),
  /** Sent as JSON, instead of `body`. */
  json: z.unknown().optional(),
});

/** What a machine hears in `onDone`. */
export interface HttpOutput {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Address that answered, after redirects. */
  readonly url: string;
  /** Parsed, where the answer says it is JSON and is. */
  readonly json?: unknown;
  /** Text; bytes where it is no UTF-8. */
  readonly body?: string | Uint8Array;
}

/** With 16 KiB of headers below the 128 KiB that an effect may put out. */
const BODY_BYTES_MAX = 96 * 1024;
const REDIRECTS_MAX = 5;
const TIMEOUT_MS = 30_000;
const PATIENCE_STATUSES: readonly number[] = [408, 425, 429];
const REDIRECT_STATUSES: readonly number[] = [301, 302, 303, 307, 308];
/** Headers that mean something to one origin only. */
const PRIVATE_HEADERS: readonly string[] = [
  'authorization',
  'cookie',
  'proxy-authorization',
  'idempotency-key',
];

export function httpDriver(options: HttpDriverOptions = {}): Driver {
  return {
    name: 'http',
    timeoutMs: TIMEOUT_MS,
    validate: (input) => void readInput(input),
    run: (call) => request(call, options),
  };
}

function readInput(input: unknown) {
  const { success, data, error } = httpInputSchema.safeParse(input);
  if (!success) throw new FabricError(effectErrors.effect_bad_input, z.prettifyError(error));
  const { method } = data;
  const bodyless = /^(get|head)$/i.test(method) && (data.body !== undefined || data.json !== undefined);
  if (bodyless) throw new FabricError(effectErrors.effect_bad_input, `${method} carries no body`);
  return data;
}

async function request(call: EffectCall, options: HttpDriverOptions): Promise<HttpOutput> {
  const input = readInput(call.input);
  let url = new URL(input.url);
  let method = input.method.toUpperCase();
  let body = input.json === undefined ? input.body : JSON.stringify(input.json);
  let headers = requestHeaders(input.headers, options.allowEnv ?? [], call);
  if (input.json !== undefined && !headers.has('content-type')) {
    headers.set('content-type', 'application/json');
  }
  const secret = Object.keys(input.headers).filter((name) => hasSecret(input.headers[name] ?? ''));

  for (let hops = 0; ; hops++) {
    await checkUrl(url, options.allowHosts ?? [], options.allowPrivate ?? false); // H1
    const response = await send(url, {
      method,
      headers,
      ...(body !== undefined && { body: body as string | Uint8Array<ArrayBuffer> }),
      redirect: 'manual',
      signal: call.signal,
    });
    const location = response.headers.get('location');
    if (options.statusOnly === true || !REDIRECT_STATUSES.includes(response.status) || location === null) {
      return answer(response, url, options);
    }
    await response.body?.cancel();
    if (hops >= (options.redirectsMax ?? REDIRECTS_MAX) || !URL.canParse(location, url.href)) {
      const details = { url: shown(url), hops };
      throw new FabricError(effectErrors.http_redirects, 'Redirected too often, or to no address', {
        details,
      });
    }
    const next = new URL(location, url);
    if (next.origin !== url.origin) {
      headers = new Headers(headers);
      for (const name of [...PRIVATE_HEADERS, ...secret]) headers.delete(name); // H2
    }
    if (response.status === 303 || (response.status < 303 && method === 'POST')) {
      method = method === 'HEAD' ? 'HEAD' : 'GET';
      body = undefined;
      headers.delete('content-type');
    }
    url = next;
  }
}

function requestHeaders(
  given: Readonly<Record<string, string>>,
  allowEnv: readonly string[],
  call: EffectCall,
): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given)) {
    const resolved = resolveSecrets(value, allowEnv);
    try {
      headers.set(name, resolved);
    } catch {
      // The error's own message quotes the value, which may be a secret (H2).
      throw new FabricError(effectErrors.effect_bad_input, `Header ${JSON.stringify(name)} cannot be sent`);
    }
  }
  if (!headers.has('idempotency-key')) headers.set('idempotency-key', call.key); // H3
  if (call.trace !== undefined && !headers.has('traceparent')) headers.set('traceparent', call.trace);
  return headers;
}

async function send(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    throw networkError(url, cause);
  }
}

async function answer(
  response: Response,
  url: URL,
  { bodyBytesMax = BODY_BYTES_MAX, statusOnly = false }: HttpDriverOptions,
): Promise<HttpOutput> {
  const { status } = response;
  if (status >= 500 || PATIENCE_STATUSES.includes(status)) {
    await response.body?.cancel();
    const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'));
    throw new FabricError(effectErrors.http_status, `${url.host} answered ${status}`, {
      details: { status, url: shown(url), ...(retryAfterMs !== undefined && { retryAfterMs }) },
    }); // H4
  }
  const said = { status, headers: Object.fromEntries(response.headers), url: shown(url) };
  if (statusOnly) {
    await response.body?.cancel();
    return said;
  }
  const type = response.headers.get('content-type') ?? '';
  let bytes: Uint8Array;
  try {
    bytes = await readBody(response, bodyBytesMax);
  } catch (cause) {
    throw cause instanceof FabricError ? cause : networkError(url, cause);
  }
  return { ...said, ...decode(bytes, type) };
}

function decode(bytes: Uint8Array, type: string): Pick<HttpOutput, 'json' | 'body'> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { body: bytes };
  }
  if (!/[/+]json\b/i.test(type)) return { body: text };
  try {
    return { json: JSON.parse(text) as unknown };
  } catch {
    return { body: text };
  }
}

/** Seconds or a date; undefined where it says neither. */
export function parseRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

function networkError(url: URL, cause: unknown): FabricError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const why = inner instanceof Error ? inner.message : String(inner);
  return new FabricError(effectErrors.http_network, `No answer from ${url.host}: ${why}`, {
    cause,
    details: { url: shown(url) },
  });
}

/** Queries often carry tokens. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
