/** What a verification found, for people and for programs. */
import { toBase64 } from '#runtime/witness/bytes';
import type { Break } from '#runtime/witness/verify/break';
import type { SnapshotFindings } from '#runtime/witness/verify/snapshots';
import type { Report } from '#runtime/witness/verify/verify';
import { count, pace, plural } from './format.ts';
import type { Palette } from './palette.ts';

const BREAKS_SHOWN = 10;

export interface Circumstances {
  readonly tookMs: number;
  /** Who named the key that was checked against, where nobody brought one. */
  readonly keyFrom: 'realm' | 'bundle' | undefined;
  readonly exported: string | undefined;
  /** Absent where they were not looked at. */
  readonly snapshots?: SnapshotFindings;
}

export function reportJson(report: Report, { tookMs, keyFrom, exported, snapshots }: Circumstances): object {
  const { checkpoint, heads: _, ...rest } = report;
  return {
    ...rest,
    ...(checkpoint !== undefined && { checkpoint: { ...checkpoint, root: toBase64(checkpoint.root) } }),
    trust: checkpoint === undefined ? 'chain' : keyFrom === undefined ? 'given' : `key of the ${keyFrom}`,
    ...(snapshots !== undefined && { snapshots: withoutBreaks(snapshots) }),
    tookMs: Math.round(tookMs),
    ...(exported !== undefined && { exported }),
  };
}

export function reportLines(
  report: Report,
  { tookMs, keyFrom, exported, snapshots, all }: Circumstances & { readonly all: boolean },
  { good, bad, faint, strong, warn }: Palette,
): string[] {
  const { commits, signed, checkpoint, breaks, breakCount } = report;
  if (commits === 0 && breakCount === 0) return ['The log is empty: there is nothing to check.'];
  const what = `${plural(commits, 'commit')} (sequence ${count(report.from)} to ${count(report.through)})`;
  // Nothing is wrong with the log itself: it is a checkpoint that this trust does not take.
  const isRefused = breakCount > 0 && breaks.every(({ kind }) => kind === 'checkpoint');
  const lines = report.ok
    ? [good('✓ ') + strong(`${what} are what they were`)]
    : [
        bad('✗ ') +
          strong(isRefused ? `${what} are not vouched for` : `${plural(breakCount, 'break')} in ${what}`),
      ];
  lines.push(faint(`  ${pace(commits, tookMs)}`));
  if (checkpoint === undefined) {
    lines.push(
      warn(
        isRefused
          ? '  Their chain is whole, but the checkpoint does not count: the chain alone cannot tell a log that was cut off or written anew.'
          : '  No checkpoint was checked: the chain alone cannot tell a log that was cut off or written anew.',
      ),
    );
  } else {
    const who = checkpoint.cosigners.length === 0 ? '' : `, cosigned by ${checkpoint.cosigners.join(', ')}`;
    lines.push(
      `  ${count(signed)} compared with the tree of ${count(checkpoint.size)} that ${checkpoint.log} signed${who}`,
    );
    const unsigned = commits - signed;
    const behind = Math.min(
      unsigned,
      Math.max(0, report.through - Math.max(checkpoint.size, report.from - 1)),
    );
    if (behind > 0)
      lines.push(
        warn(`  ${plural(behind, 'commit')} behind that not signed yet: only the chain was checked`),
      );
    if (unsigned > behind)
      lines.push(
        warn(
          `  ${plural(unsigned - behind, 'commit')} in it could not be compared: only the chain was checked`,
        ),
      );
    if (keyFrom === 'realm') {
      lines.push(faint('  with the key that the realm itself names; --key or --policy says whom you trust'));
    } else if (keyFrom === 'bundle') {
      lines.push(
        faint(
          '  with the key in the file itself, which only shows that it agrees with itself; bring yours with --key or --policy',
        ),
      );
    }
  }
  if (snapshots !== undefined) lines.push(...snapshotLines(snapshots).map(faint));
  const shown = all ? breaks : breaks.slice(0, BREAKS_SHOWN);
  for (const found of shown) lines.push(`${bad(`  ${found.kind}`.padEnd(13))}${place(found)}${found.what}`);
  if (breakCount > shown.length)
    lines.push(faint(`  … and ${count(breakCount - shown.length)} more${all ? '' : '; --all lists them'}`));
  if (exported !== undefined) lines.push(`  written to ${exported}`);
  return lines;
}

function withoutBreaks({ breaks: _, ...rest }: SnapshotFindings): object {
  return rest;
}

function snapshotLines({ snapshots, blobs, unstated, breaks }: SnapshotFindings): string[] {
  const lines: string[] = [];
  if (snapshots > 0 && breaks.length === 0)
    lines.push(`  ${plural(snapshots, 'snapshot')} (${plural(blobs, 'object')}) as the log states`);
  if (unstated > 0)
    lines.push(`  ${plural(unstated, 'snapshot')} that no commit states: nothing begins with them`);
  return lines;
}

function place({ shard, index, seq }: Break): string {
  const parts = [
    shard === undefined ? undefined : `shard ${shard}`,
    index === undefined ? undefined : `commit ${index}`,
    seq === undefined ? undefined : `sequence ${seq}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? '' : `${parts.join(', ')}: `;
}
