/**
 * Verifies an archive by itself, with no realm: every segment whole, all of it signed, and one chain.
 *
 * W1  What a segment has to hold is what the manifest says of it, not what it says of itself.
 * W2  Anyone can write a chain: but for who asks for the chain alone, each commit has to be compared with what was signed.
 */
import { utf8 } from '#runtime/witness/bytes';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import type { Break } from '#runtime/witness/verify/break';
import type { ChainHead } from '#runtime/witness/verify/chain';
import { verifyErrors } from '#runtime/witness/verify/errors';
import { trustOf, verifyBundle } from '#runtime/witness/verify/offline';
import { judgeCheckpoint } from '#runtime/witness/verify/verify';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors } from './errors.ts';
import { readManifest, type Segment } from './manifest.ts';
import { readSegment } from './segment.ts';
import type { ArchiveStore } from './store.ts';

export interface ArchiveVerifyOptions {
  /** Verifier keys, one of which must have signed each segment; the one in each segment where there are none. */
  readonly keys: readonly string[];
  readonly chainOnly: boolean;
  readonly signal: AbortSignal;
}

export interface ArchiveVerdict {
  readonly ok: boolean;
  /** Segments that the manifest names. */
  readonly segments: number;
  /** Commits of the segments that are what they were. */
  readonly commits: number;
  /** Of these, how many were compared with what was signed. */
  readonly signed: number;
  /** The first segment that is not what it was, and why. */
  readonly problem: string | undefined;
}

/** Throws `archive_missing`, `archive_damaged` for what was not stored so, `bad_evidence` for a key that is none. */
export async function verifyArchive(
  store: ArchiveStore,
  options: ArchiveVerifyOptions,
): Promise<ArchiveVerdict> {
  const { keys, chainOnly, signal } = options;
  for (const key of keys) checkKey(key);
  const manifest = await readManifest(store);
  if (manifest === undefined)
    throw new FabricError(archiveErrors.archive_missing, `There is no archive in ${store.place}`);
  let heads: ReadonlyMap<number, ChainHead> = new Map();
  let [commits, signed] = [0, 0];
  for (const segment of manifest.segments) {
    signal.throwIfAborted();
    const bundle = await readSegment(store, segment);
    const { from, through } = segment;
    const report = await verifyBundle(nodePrimitives, bundle, signerOf(bundle.checkpoint, keys), {
      from,
      through,
      chainOnly,
      signal,
      ...(from > 1 && { heads }),
    });
    const problem = typeof report === 'string' ? report : problemOf(report, segment, chainOnly);
    if (problem !== undefined || typeof report === 'string') {
      const named = `${segment.name}: ${problem}`;
      return { ok: false, segments: manifest.segments.length, commits, signed, problem: named };
    }
    heads = new Map([...heads, ...report.heads]);
    commits += report.commits;
    signed += report.signed;
  }
  return { ok: true, segments: manifest.segments.length, commits, signed, problem: undefined };
}

/** Of several keys the one that signed, as those of a realm that rotated its key. */
function signerOf(checkpoint: string | undefined, keys: readonly string[]): string {
  const signer = keys.find((text) => {
    const trust = trustOf(nodePrimitives, text);
    if (typeof trust === 'string') return false;
    return typeof judgeCheckpoint(nodePrimitives, { checkpoint: utf8(checkpoint ?? ''), trust }) !== 'string';
  });
  return signer ?? keys[0] ?? '';
}

interface Checked {
  readonly commits: number;
  readonly signed: number;
  readonly breaks: readonly Break[];
}

/** W1, W2 */
function problemOf(
  { commits, signed, breaks: [found] }: Checked,
  { from, through }: Segment,
  chainOnly: boolean,
): string | undefined {
  if (found !== undefined) {
    return `${found.kind}${found.seq === undefined ? '' : ` at sequence ${found.seq}`}: ${found.what}`;
  }
  const due = through - from + 1;
  if (commits !== due) return `${commits} of its ${due} commits can be read by what it says of itself`;
  if (!chainOnly && signed !== commits) return `only ${signed} of its ${commits} commits are signed`;
  return undefined;
}

function checkKey(text: string): void {
  const trust = trustOf(nodePrimitives, text);
  if (typeof trust === 'string') throw new FabricError(verifyErrors.bad_evidence, `--key: ${trust}`);
}
