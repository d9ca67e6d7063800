/**
 * The gate of a realm with personal fields. A message that was signed in the clear is checked as it came, and heard as
 * it was sealed; its signature is kept sealed too, for it would confirm any guess of what it covers.
 */
import type { EdgeGate } from '#runtime/shard/ports';
import type { SealedBody } from './sealing.ts';

export interface PrivacyGate extends EdgeGate {
  /** Remembers what a sealed envelope was, for as long as somebody holds it. */
  signedAs(sealed: object, plain: unknown, body: SealedBody): void;
}

export function privacyGate(inner: EdgeGate): PrivacyGate {
  const known = new WeakMap<
    object,
    { readonly plain: unknown; readonly signature: SealedBody['signature'] }
  >();
  return {
    eventOf: (envelope) => inner.eventOf(envelope),

    check(envelope, at) {
      const came = typeof envelope === 'object' && envelope !== null ? known.get(envelope) : undefined;
      if (came === undefined) return inner.check(envelope, at);
      const verdict = inner.check(came.plain, at);
      if (!verdict.ok) return verdict;
      const event = inner.eventOf(envelope);
      if (verdict.signed === undefined || came.signature === undefined) return { ...verdict, event };
      return { ok: true, event, signed: { ...verdict.signed, signature: came.signature } };
    },

    signedAs(sealed, plain, { signature }) {
      known.set(sealed, { plain, signature });
    },
  };
}
