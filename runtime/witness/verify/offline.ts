/**
 * Verification of a bundle by itself: what the command and the page in a browser share. Anyone can write a chain, so a
 * bundle is what it was only where a signature covers every commit of it.
 */

import { type Bundle, bundleLog, bundleTiles } from '../bundle.ts';
import { utf8 } from '../bytes.ts';
import type { Primitives } from '../hash.ts';
import { COSIGNATURE_V1, parseVerifierKey } from '../note.ts';
import { isPolicy, parsePolicy } from '../policy.ts';
import type { Break } from './break.ts';
import { type Report, type Trust, type VerifyOptions, verifyLog } from './verify.ts';

/** Whose signatures count: the text of a verifier key or of a C2SP tlog-policy; what the bundle names when empty. */
export type TrustText = string;

export interface OfflineReport extends Report {
  /** True where nobody but the bundle itself says whom to trust. */
  readonly isOwnTrust: boolean;
}

/** The verdict, or why the trust that was given is none. */
export async function verifyBundle(
  primitives: Primitives,
  bundle: Bundle,
  trustText: TrustText,
  options: Pick<VerifyOptions, 'from' | 'through' | 'signal'> & {
    /** Last commits before the bundle. */
    readonly heads?: VerifyOptions['heads'] | undefined;
    readonly checkpoint?: string;
    readonly chainOnly?: boolean;
  } = {},
): Promise<OfflineReport | string> {
  const isOwnTrust = trustText.trim() === '';
  const text = isOwnTrust ? (bundle.policy ?? bundle.key ?? '') : trustText;
  const trust = text.trim() === '' ? undefined : trustOf(primitives, text);
  if (typeof trust === 'string') return trust;
  const checkpoint = options.checkpoint ?? bundle.checkpoint ?? '';
  const wantsSigned = options.chainOnly !== true;
  const hasEvidence = wantsSigned && trust !== undefined;
  const report = await verifyLog({
    primitives,
    log: bundleLog(bundle),
    ...(hasEvidence && {
      evidence: { checkpoint: utf8(checkpoint), trust, tile: bundleTiles(bundle) },
      signedThrough: Number.POSITIVE_INFINITY,
    }),
    from: options.from ?? bundle.from,
    through: options.through ?? bundle.through,
    ...(options.heads !== undefined && { heads: options.heads }),
    ...(options.signal !== undefined && { signal: options.signal }),
  });
  const isVouched = !wantsSigned || trust !== undefined;
  const told = isVouched ? report : withBreak(report, NOBODY);
  return { ...(told.ok && told.commits === 0 ? withBreak(told, EMPTY) : told), isOwnTrust };
}

/** Nobody exports a bundle of nothing. */
const EMPTY: Break = { kind: 'removed', what: 'the bundle holds no commit of this range' };

const NOBODY: Break = {
  kind: 'checkpoint',
  what: 'neither the bundle nor you say whose signature counts, so nothing is signed',
};

function withBreak(report: Report, found: Break): Report {
  return { ...report, ok: false, breaks: [found, ...report.breaks], breakCount: report.breakCount + 1 };
}

/** A line that only a policy has. */
const POLICY_LINE = /^[ \t]*(?:#|(?:log|witness|group|quorum)(?:[ \t]|$))/m;
/** A key that was mistyped, or cut, still has its plus signs. */
const KEY_LIKE = /^[^\s+]+\+[^+]*\+/;
const KEY_FORM =
  'a verifier key is one line, NAME+8 hex digits+base64, as `infrafabric witness key` prints it';

/** The verifier key of a log or a policy, or what is wrong with it. */
export function trustOf({ sha256 }: Primitives, text: string): Trust | string {
  const trimmed = text.trim();
  const key = parseVerifierKey(sha256, trimmed);
  if (key?.type === COSIGNATURE_V1)
    return `the key of ${key.name} is that of a cosigner, and no log signs with it: give the key of the log, which \`infrafabric witness key\` prints, or a policy that names both`;
  if (key !== undefined) return { key };
  if (!POLICY_LINE.test(text)) {
    if (KEY_LIKE.test(trimmed))
      return `a mistyped verifier key: its parts do not fit each other; ${KEY_FORM}`;
    return `neither a verifier key nor a policy: ${KEY_FORM}`;
  }
  const policy = parsePolicy(sha256, text);
  if (isPolicy(policy)) return { policy };
  return `neither a verifier key nor a policy: line ${policy.line}: ${policy.problem}`;
}
