/**
 * Headers on their way through. Pure.
 *
 * G1  No credential of the caller reaches the provider, unless the provider wants the caller’s own; none of the provider’s cookies
 *     reaches the caller.
 * G2  What belongs to one connection stays there (RFC 9110, 7.6.1).
 */
import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { SESSION_HEADER, SWARM_HEADER, TASK_HEADER } from './route.ts';

export const TOKEN_HEADER = 'if-token';
/** Names the record of a call, to who made it. */
export const RECORD_HEADER = 'if-cost-record';

const HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];
const CREDENTIALS = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'];
const OURS = [SESSION_HEADER, TASK_HEADER, SWARM_HEADER, TOKEN_HEADER];
/** Set anew, or of the way here only. */
const NOT_FORWARDED = new Set([
  ...HOP,
  ...OURS,
  'host',
  'content-length',
  'accept-encoding',
  'expect',
  'cookie',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'origin',
  'referer',
  'traceparent',
]);
const NOT_RETURNED = new Set([
  ...HOP,
  'set-cookie',
  'content-length',
  'alt-svc',
  'strict-transport-security',
  // Who follows it takes the meter's token along.
  'location',
]);

export function forwarded(
  headers: IncomingHttpHeaders,
  options: { readonly key: readonly [string, string] | undefined; readonly isKeyOfCaller: boolean },
): Record<string, string | string[]> {
  const dropped = new Set([
    ...NOT_FORWARDED,
    ...(options.isKeyOfCaller ? [] : CREDENTIALS),
    ...namedHops(headers),
  ]);
  const kept = Object.entries(headers).filter(([name, value]) => value !== undefined && !dropped.has(name));
  return {
    ...(Object.fromEntries(kept) as Record<string, string | string[]>),
    // What is packed cannot be counted.
    'accept-encoding': 'identity',
    ...(options.key !== undefined && { [options.key[0]]: options.key[1] }),
  };
}

export function returned(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const dropped = new Set([...NOT_RETURNED, ...namedHops(headers)]);
  return Object.fromEntries(
    Object.entries(headers).filter(([name, value]) => value !== undefined && !dropped.has(name)),
  ) as Record<string, string | string[]>;
}

/** The caller’s trace goes on, or a new one begins; the span is the meter’s own. */
export function traceOf(given: unknown): { readonly id: string; readonly traceparent: string } {
  const known = isHeaderText(given)
    ? /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(given)?.[1]
    : undefined;
  const id = known === undefined || /^0+$/.test(known) ? randomBytes(16).toString('hex') : known;
  return { id, traceparent: `00-${id}-${randomBytes(8).toString('hex')}-01` };
}

export function isHeaderText(value: unknown): value is string {
  return typeof value === 'string';
}

/** G2: headers that a connection names as its own. */
function namedHops({ connection }: IncomingHttpHeaders): string[] {
  return connection === undefined ? [] : connection.split(',').map((name) => name.trim().toLowerCase());
}
