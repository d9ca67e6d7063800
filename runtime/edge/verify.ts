/**
 * The gate: what an IFMessage must be before a machine hears it. Pure but for the key lookup; the clock and the
 * sender's last sequence come in as data, so a replay of the log gives the same verdicts.
 *
 * E1  The key comes from the registry by kid, never from the message, and only its owner may sign `from` with it.
 * E2  The machine hears exactly what was signed: the message is read back from the signed bytes.
 * E3  One message has one signature text: other spellings of the same bytes are refused.
 * E4  A sequence is taken once per sender; at, or below, the last one taken is a replay.
 * E5  Every refusal is typed, and says which field or key it is about.
 */
import { type KeyObject, verify } from 'node:crypto';
import type { EdgeGate, GateVerdict } from '#runtime/shard/ports';
import { type ErrorKind, FabricError, toWireError } from '#schemas/fabric-error';
import { type IFMessage, ifMessageSchema, toEvent } from '#schemas/if-message';
import { edgeErrors } from './errors.ts';
import { nonJsonPath } from './json.ts';
import type { KeyRecord } from './keys.ts';
import { verifyingKey } from './sign.ts';
import { canonicalText } from './stamp.ts';

/** Age at which a message is refused whatever its ttl, ms. */
export const AGE_MS_MAX = 300_000;
/** How far a sender's clock may run ahead of ours, ms. */
export const SKEW_MS_MAX = 5_000;
/** Bytes of an Ed25519 signature in base64url end in four unused bits; these spell them as zero. */
const SIGNATURE_END = /[AQgw]$/;

export interface EdgePolicy {
  /** Sender types that need no signature. Their `from` is then only a claim. */
  readonly unsignedTypes: readonly string[];
  /** Default {@link AGE_MS_MAX}. */
  readonly maxAgeMs?: number;
}

export interface GateOptions {
  readonly policy: EdgePolicy;
  /** A key of the registry, revoked ones included. */
  readonly keyOf: (kid: string) => KeyRecord | undefined;
}

type Check = Parameters<EdgeGate['check']>[1];

/**
 * Makes the gate of a realm.
 *
 * `check` never throws for what a sender did: the refusal is in the verdict. Cheap checks come before the signature
 * (70 µs), so that stale and misdirected messages cost little.
 */
export function edgeGate({ policy, keyOf }: GateOptions): EdgeGate {
  const unsignedTypes = new Set(policy.unsignedTypes);
  const maxAgeMs = policy.maxAgeMs ?? AGE_MS_MAX;
  // A record is replaced when its key changes, so the record itself is the cache key.
  const parsedKeys = new WeakMap<KeyRecord, KeyObject>();

  function publicKey(record: KeyRecord): KeyObject {
    let key = parsedKeys.get(record);
    if (key === undefined) {
      key = verifyingKey(Buffer.from(record.publicKey, 'base64url'));
      parsedKeys.set(record, key);
    }
    return key;
  }

  function accept(envelope: unknown, at: Check): GateVerdict {
    const { message, text } = readEnvelope(envelope);
    const from = message.from.slice('if://'.length);
    if (!message.to.includes(`if://${at.actor}`)) {
      refuse(edgeErrors.not_addressed, `The message is not addressed to ${at.actor}`, {
        actor: at.actor,
        to: message.to,
      });
    }
    checkTime(message, at.now, maxAgeMs);
    const event = { ...toEvent(message) };
    const { signature } = message;
    if (signature === undefined) {
      if (unsignedTypes.has(from.slice(0, from.indexOf('/')))) return { ok: true, event };
      refuse(edgeErrors.unsigned, `Messages from ${from} must be signed`, { from });
    }
    const { kid, sig } = signature;
    const record = keyOf(kid);
    if (record === undefined) refuse(edgeErrors.unknown_key, 'The registry has no such key', { kid });
    if (record.owner !== from) {
      refuse(edgeErrors.key_owner_mismatch, `The key does not belong to ${from}`, { kid, from });
    }
    if (record.status === 'revoked') refuse(edgeErrors.revoked_key, 'The key was revoked', { kid, from });
    const lastSeq = at.lastSeq(from);
    if (message.seq <= lastSeq) {
      refuse(edgeErrors.replayed_seq, `${from} already sent message ${lastSeq}`, {
        from,
        seq: message.seq,
        lastSeq,
      });
    }
    if (
      !SIGNATURE_END.test(sig) ||
      !verify(null, Buffer.from(text), publicKey(record), Buffer.from(sig, 'base64url'))
    ) {
      refuse(edgeErrors.bad_signature, 'The signature does not match the message', { kid, from });
    }
    return { ok: true, event, signed: { kid, from, seq: message.seq } };
  }

  return {
    eventOf: (envelope) => ({ ...toEvent(readEnvelope(envelope).message) }),

    check(envelope, at) {
      try {
        return accept(envelope, at);
      } catch (thrown) {
        if (thrown instanceof FabricError) return { ok: false, error: toWireError(thrown) };
        throw thrown;
      }
    },
  };
}

/** The message as it was signed (E2), and the text that the signature covers. Throws `bad_envelope` with the path. */
function readEnvelope(envelope: unknown): { message: IFMessage; text: string } {
  const bad = nonJsonPath(envelope);
  if (bad !== undefined) {
    refuse(edgeErrors.bad_envelope, `"${bad}" has no JSON form, or is nested too deep`, { path: bad });
  }
  const checked = ifMessageSchema.safeParse(envelope);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const path = pathOf(issue);
    refuse(edgeErrors.bad_envelope, `${path === '' ? 'The message' : path}: ${issue?.message ?? 'invalid'}`, {
      path,
    });
  }
  // Over what came, not over what the schema made of it: defaults were not signed.
  const text = canonicalText(envelope as Record<string, unknown>);
  const signed: unknown = JSON.parse(text);
  const { signature } = checked.data;
  const message = ifMessageSchema.parse(signed);
  return { message: signature === undefined ? message : { ...message, signature }, text };
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly keys?: readonly string[];
}

function pathOf(issue: Issue | { readonly path: readonly PropertyKey[] } | undefined): string {
  if (issue === undefined) return '';
  const unknownKey = 'keys' in issue && issue.keys?.[0] !== undefined ? [issue.keys[0]] : [];
  return [...issue.path, ...unknownKey].map(String).join('.');
}

function checkTime(message: IFMessage, now: number, maxAgeMs: number): void {
  const sentAt = Date.parse(message.ts);
  const ageMs = now - sentAt;
  const limitMs = Math.min(message.ttl * 1_000, maxAgeMs);
  if (!(ageMs <= limitMs)) {
    refuse(edgeErrors.expired, `The message is ${ageMs} ms old; ${limitMs} are allowed`, { ageMs, limitMs });
  }
  if (ageMs < -SKEW_MS_MAX) {
    refuse(edgeErrors.from_future, `The message is dated ${-ageMs} ms ahead`, { aheadMs: -ageMs });
  }
}

function refuse(kind: ErrorKind, message: string, details: Readonly<Record<string, unknown>>): never {
  throw new FabricError(kind, message, { details });
}
