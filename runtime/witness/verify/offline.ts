/**
 * Verification of a bundle by itself: what the command and the page in a browser share. Anyone can write a chain, so a
 * bundle is what it was only where a signature covers every commit of it.
 */

import { type Bundle, bundleLog, bundleTiles } from '../bundle.ts';
import { utf8 } from '../bytes.ts';
import type { Primitives } from '../hash.ts';
import { parseVerifierKey } from '../note.ts';
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
  return { ...(wantsSigned && trust === undefined ? withBreak(report, NOBODY) : report), isOwnTrust };
}

const NOBODY: Break = {
  kind: 'checkpoint',
  what: 'neither the bundle nor you say whose signature counts, so nothing is signed',
};

function withBreak(report: Report, found: Break): Report {
  return { ...report, ok: false, breaks: [found, ...report.breaks], breakCount: report.breakCount + 1 };
}

/** A verifier key or a policy, or what is wrong with it. */
export function trustOf({ sha256 }: Primitives, text: string): Trust | string {
  const key = parseVerifierKey(sha256, text.trim());
  if (key !== undefined) return { key };
  const policy = parsePolicy(sha256, text);
  if (isPolicy(policy)) return { policy };
  return `neither a verifier key nor a policy: line ${policy.line}: ${policy.problem}`;
}
