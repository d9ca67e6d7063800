/**
 * Whether a call of a guest may be made. Pure: grant, what was used so far and the moment go in, a verdict comes out.
 *
 * G1  What no entry covers is refused; an empty list covers nothing.
 * G2  Every call counts, refused ones too: a guest that tries doors runs out of calls.
 * G3  Names have one spelling. What two readers could read differently is refused before it is compared: dots and encoded
 *     slashes in paths, credentials in URLs, wildcards in keys and addresses.
 * G4  Headers of a grant stand before those of the guest, which can name no secret, and none that frames the request.
 * G5  No grant lets a guest say what the chassis says of it: its component would believe the task.
 */
import type { HostCall } from '#runtime/sandbox/jail/types';
import { isActorId, isActorType } from '#schemas/address';
import type { ErrorKind } from '#schemas/fabric-error';
import { coversPath, coversPattern, EVENT_NAME, type Grant, KV_KEY, KV_KEY_CHARS_MAX } from '#schemas/grant';
import { grantErrors } from './errors.ts';

export interface Used {
  readonly calls: number;
  readonly emitBytes: number;
  readonly kvBytes: number;
  readonly httpBytes: number;
}

export const NOTHING_USED: Used = { calls: 0, emitBytes: 0, kvBytes: 0, httpBytes: 0 };

/** The grant of a run, as it stands at the moment of a call. */
export interface Standing {
  readonly grant: Grant;
  readonly used: Used;
  /** Since the run began. */
  readonly ageMs: number;
  readonly isRevoked: boolean;
}

export type Verdict =
  | {
      readonly ok: true;
      readonly used: Used;
      /** Of an http call: as they are sent, secrets still by name. */
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly ok: false; readonly used: Used; readonly kind: ErrorKind; readonly message: string };

type Called<Kind extends HostCall['kind']> = Extract<HostCall, { readonly kind: Kind }>;
type Cost = Partial<Used>;
type Finding =
  | { readonly cost?: Cost; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: ErrorKind; readonly message: string };

/** G5: mail of tasks to their component. */
const REPORTS: ReadonlySet<string> = new Set(['component.ran']);
/** G3: an encoded slash or backslash, which some servers decode before they look. */
const ENCODED_SLASH = /%(?:25)*(?:2f|5c)/i;
/** G4: they say where a request ends or whom it is for. */
const FRAMING =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*)$/i;
const HEADER_NAME = /^[A-Za-z0-9-]{1,64}$/;

export function checkCall({ grant, used, ageMs, isRevoked }: Standing, call: HostCall): Verdict {
  const counted = { ...used, calls: used.calls + 1 }; // G2.
  const refuse = (kind: ErrorKind, message: string): Verdict => ({ ok: false, used: counted, kind, message });
  if (isRevoked) return refuse(grantErrors.grant_revoked, 'the grant was revoked');
  if (ageMs >= grant.ttlMs)
    return refuse(grantErrors.grant_expired, `the grant ended after ${grant.ttlMs} ms`);
  const finding = find(grant, call);
  if ('kind' in finding) return refuse(finding.kind, finding.message);
  const next = plus(counted, finding.cost ?? {});
  for (const name of Object.keys(next) as (keyof Used)[]) {
    const max = grant.quotas[name];
    if (next[name] > max) return refuse(grantErrors.grant_quota_exceeded, `${name}: ${next[name]} of ${max}`);
  }
  return { ok: true, used: next, ...(finding.headers !== undefined && { headers: finding.headers }) };
}

function find(grant: Grant, call: HostCall): Finding {
  switch (call.kind) {
    case 'emit':
      return emit(grant, call);
    case 'kv-get':
      return kv(grant, call.key, 0, false);
    case 'kv-put':
      return kv(grant, call.key, call.value.byteLength, true);
    case 'ask':
      return ask(grant, call);
    case 'http':
      return http(grant, call);
  }
}

function emit({ emit: allowed }: Grant, { name, body }: Called<'emit'>): Finding {
  if (!EVENT_NAME.test(name)) return bad('an event has a plain name');
  if (!allowed.some((pattern) => coversPattern(pattern, name))) return denied(`event ${name}`);
  if (!isJson(body)) return bad('the body of an event is JSON');
  return { cost: { emitBytes: Buffer.byteLength(body) } };
}

function kv({ kv: allowed }: Grant, key: string, kvBytes: number, isWrite: boolean): Finding {
  if (key.length > KV_KEY_CHARS_MAX || !KV_KEY.test(key))
    return bad('a key is letters, digits, _ and -, with single / or . between them');
  const isCovered = allowed.some(({ prefix, write }) => key.startsWith(prefix) && (write || !isWrite));
  return isCovered ? { cost: { kvBytes } } : denied(`key ${key}${isWrite ? ' to write' : ''}`);
}

function ask({ ask: allowed }: Grant, { to, event }: Called<'ask'>): Finding {
  const slash = to.indexOf('/');
  if (!isActorType(to.slice(0, Math.max(0, slash))) || !isActorId(to.slice(slash + 1)))
    return bad('an address is type/id');
  const type = eventType(event);
  if (type === undefined || !EVENT_NAME.test(type))
    return bad('an event is a JSON object with a plain `type`');
  if (REPORTS.has(type)) return denied(`${type}: runs do not report on themselves`); // G5.
  const isCovered = allowed.some(
    (door) => coversPattern(door.to, to) && door.events.some((name) => coversPattern(name, type)),
  );
  return isCovered ? {} : denied(`${type} to ${to}`);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function eventType(text: string): string | undefined {
  try {
    const event: unknown = JSON.parse(text);
    if (typeof event !== 'object' || event === null || Array.isArray(event)) return undefined;
    const { type } = event as { type?: unknown };
    return typeof type === 'string' ? type : undefined;
  } catch {
    return undefined;
  }
}

function http({ http: allowed }: Grant, call: Called<'http'>): Finding {
  const { method, headers, body } = call;
  const url = plainUrl(call.url);
  if (url === undefined) return bad('a URL has an origin and a plain path, and no credentials');
  const entry = allowed.find(
    ({ origin, path, methods }) =>
      origin === url.origin && coversPath(path, url.pathname) && methods.some((one) => one === method),
  );
  if (entry === undefined) return denied(`${method.slice(0, 20)} ${url.origin}${url.pathname}`);
  const sent: Record<string, string> = {};
  for (const [name, value] of headers) {
    if (!HEADER_NAME.test(name) || FRAMING.test(name))
      return bad(`header ${name.slice(0, 64)} is not the guest's to set`);
    if (value.includes('${')) return bad('a header of the guest names no variable'); // G4.
    sent[name.toLowerCase()] = value;
  }
  for (const [name, value] of Object.entries(entry.headers)) sent[name.toLowerCase()] = value;
  return { cost: { httpBytes: body.byteLength }, headers: sent };
}

/** G3. */
function plainUrl(text: string): URL | undefined {
  if (!URL.canParse(text) || /[\s\\]/.test(text)) return undefined;
  const url = new URL(text);
  const isWeb = url.protocol === 'http:' || url.protocol === 'https:';
  const { username, password, pathname } = url;
  if (!isWeb || username !== '' || password !== '' || ENCODED_SLASH.test(pathname)) return undefined;
  return pathname.split('/').some(isDots) ? undefined : url;
}

/** G3: `..;x` climbs for servers that take parameters off a segment first, `%252e` for those that decode twice. */
function isDots(segment: string): boolean {
  const [name = ''] = segment.replace(/%(?:25)*3b/gi, ';').split(';');
  return /^(?:\.|%(?:25)*2e){1,2}$/i.test(name);
}

function plus(used: Used, cost: Cost): Used {
  return {
    calls: used.calls,
    emitBytes: used.emitBytes + (cost.emitBytes ?? 0),
    kvBytes: used.kvBytes + (cost.kvBytes ?? 0),
    httpBytes: used.httpBytes + (cost.httpBytes ?? 0),
  };
}

function denied(what: string): Finding {
  return { kind: grantErrors.grant_denied, message: `${what.slice(0, 300)} is not granted` };
}

function bad(message: string): Finding {
  return { kind: grantErrors.grant_bad_call, message };
}
