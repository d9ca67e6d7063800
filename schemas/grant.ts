/**
 * What a sandboxed task may do outside of its jail. Every list names what is allowed; an empty one allows nothing.
 * Addresses, event names and tenants are patterns with stars; keys and paths are prefixes; hosts and methods are exact.
 */
import { z } from 'zod';
import { byteSize, duration, formatBytes, formatDuration } from './units.ts';

/** Long enough for a task at its wall-clock limit; a grant that leaks is worth nothing soon. */
export const GRANT_TTL_MS_DEFAULT = 300_000;
const GRANT_TTL_MS_MAX = 86_400_000;
const ENTRIES_MAX = 64;
const KIB = 2 ** 10;
const MIB = 2 ** 20;

export const KV_KEY_CHARS_MAX = 200;
/** Segments of letters, digits, `_` and `-`, between single `/` or `.`: no `..`, no empty one, no wildcard of the bus. */
export const KV_KEY = /^[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*$/;
const KV_PREFIX = /^(?:[A-Za-z0-9_-]+[./])*[A-Za-z0-9_-]*$/;
const ADDRESS_PATTERN = /^[a-z][a-z0-9-]{0,30}\/(?:\*|[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,199}\*?)$/;
export const EVENT_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}(?:\.[A-Za-z0-9_-]{1,64}){0,7}$/;
const EVENT_PATTERN = /^(?:\*|[A-Za-z][A-Za-z0-9_.-]{0,199}\*?)$/;
const ORIGIN = /^https?:\/\/[a-z0-9.-]{1,253}(?::\d{1,5})?$/;

const eventPattern = z
  .string()
  .regex(EVENT_PATTERN, { error: 'expected the name of an event, or its start and a star' });

export const addressPattern = z
  .string()
  .regex(ADDRESS_PATTERN, { error: 'expected type/id, type/start* or type/*' });

export const quotasSchema = z
  .strictObject({
    calls: z.int().min(0).max(1_000_000).default(1_000).describe('Calls to the world, of any kind.'),
    emitBytes: byteSize(0, 16 * MIB)
      .prefault(formatBytes(256 * KIB))
      .describe('Bodies of emitted events.'),
    kvBytes: byteSize(0, 64 * MIB)
      .prefault(formatBytes(MIB))
      .describe('Values written.'),
    httpBytes: byteSize(0, 64 * MIB)
      .prefault(formatBytes(MIB))
      .describe('Request bodies sent.'),
  })
  .describe('What one run may use up in all.');

export const grantSchema = z
  .strictObject({
    ttlMs: duration(1, GRANT_TTL_MS_MAX)
      .prefault(formatDuration(GRANT_TTL_MS_DEFAULT))
      .describe('From the beginning of the run; past it every call is refused.'),
    emit: z.array(eventPattern).max(ENTRIES_MAX).default([]).describe('Events it may tell watchers.'),
    kv: z
      .array(
        z.strictObject({
          prefix: z
            .string()
            .max(KV_KEY_CHARS_MAX)
            .regex(KV_PREFIX, { error: 'expected the start of a key such as cache/' }),
          write: z.boolean().default(false),
        }),
      )
      .max(ENTRIES_MAX)
      .default([])
      .describe('Keys of its tenant that it may read, or write too.'),
    ask: z
      .array(
        z.strictObject({ to: addressPattern, events: z.array(eventPattern).max(ENTRIES_MAX).default([]) }),
      )
      .max(ENTRIES_MAX)
      .default([])
      .describe('Actors it may ask, and with which events.'),
    http: z
      .array(
        z.strictObject({
          origin: z.string().regex(ORIGIN, { error: 'expected an origin such as https://api.example.org' }),
          path: z
            .string()
            .regex(/^\/[\x21-\x7e]{0,499}$/, { error: 'expected the start of a path such as /v1/' })
            .default('/'),
          methods: z.array(z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])).default([]),
          headers: z
            .record(z.string().regex(/^[A-Za-z0-9-]{1,64}$/), z.string().max(1_000))
            .default({})
            .describe(
              'Put in outside of the jail; env:NAME in braces is a variable of the node that `drivers.sandbox.allowEnv` lists.',
            ),
        }),
      )
      .max(ENTRIES_MAX)
      .default([])
      .describe('Where it may send requests.'),
    quotas: quotasSchema.prefault({}),
  })
  .describe('What a sandboxed task may do outside of its jail; nothing by default.');
export type Grant = z.infer<typeof grantSchema>;

/** A pattern has a star at its end or nowhere. What is asked for may be a pattern itself: all that it means is covered. */
export function coversPattern(allowed: string, asked: string): boolean {
  return allowed === asked || (allowed.endsWith('*') && asked.startsWith(allowed.slice(0, -1)));
}

/** A path is the start of those below it: `/v1` of `/v1/a`, not of `/v12`. */
export function coversPath(allowed: string, asked: string): boolean {
  return allowed === asked || asked.startsWith(allowed.endsWith('/') ? allowed : `${allowed}/`);
}
