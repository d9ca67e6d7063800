/**
 * Dropping what is archived from the stream, which allows no purge and no deletion: its limits are lowered for a moment,
 * and put back.
 *
 * D1  Only sequences that are archived and verified may go. While the limit is lowered each new commit pushes out the
 *     oldest; so {@link KEPT_MIN} archived messages stay as a margin, more than a realm writes until somebody notices.
 * D2  The record says `dropping` before the limits are lowered and until they are back. Whoever finds it so (every
 *     archive run, and every node at its start and each {@link GUARD_EVERY_MS}) puts them back.
 */
import { DiscardPolicy, type JetStreamManager } from '@nats-io/jetstream';
import type { ArchiveMark, Marks } from './mark.ts';

/** D1: a stream takes less than 5,000 commits a second, a node looks every two. */
export const KEPT_MIN = 16_384;
export const GUARD_EVERY_MS = 2_000;

const UNBOUNDED = { max_msgs: -1, discard: DiscardPolicy.New };

export interface DropOptions {
  readonly jsm: JetStreamManager;
  readonly stream: string;
  readonly marks: Marks;
  /** Everything up to here is archived and verified, and needed by no recovery. */
  readonly through: number;
  /** {@link KEPT_MIN} but in tests. */
  readonly keptMin?: number;
  /** Called between the steps; tests end the process there. */
  readonly probe?: (point: 'before_lower' | 'lowered' | 'restored') => void;
}

/** Drops through a sequence at most; gives the first sequence that the stream then has. */
export async function dropArchived(options: DropOptions): Promise<number> {
  const { jsm, stream, marks, through, keptMin = KEPT_MIN, probe } = options;
  const { state } = await jsm.streams.info(stream);
  // D1: archived messages behind the new first one.
  const first = Math.min(through, state.last_seq) - keptMin + 1;
  const { mark, revision } = await marks.read();
  if (mark === undefined || first <= state.first_seq) return state.first_seq;
  const lowering = { ...mark, dropped: Math.max(mark.dropped, first - 1 + keptMin), dropping: true };
  const next = await marks.write(lowering, revision);
  probe?.('before_lower');
  // Those that came since are counted: more are kept then, never fewer.
  const { state: now } = await jsm.streams.info(stream);
  await jsm.streams.update(stream, { max_msgs: now.last_seq - first + 1, discard: DiscardPolicy.Old });
  probe?.('lowered');
  await restoreLimits(jsm, stream);
  probe?.('restored');
  const { state: after } = await jsm.streams.info(stream);
  await marks.write({ ...lowering, dropped: after.first_seq - 1, dropping: false }, next);
  return after.first_seq;
}

/** D2: puts the limits back where a run ended half-way; true where it did. */
export async function guardLimits(jsm: JetStreamManager, stream: string, marks: Marks): Promise<boolean> {
  const { mark, revision } = await marks.read();
  if (mark === undefined || !mark.dropping) return false;
  await restoreLimits(jsm, stream);
  const { state } = await jsm.streams.info(stream);
  const healed: ArchiveMark = { ...mark, dropped: Math.max(0, state.first_seq - 1), dropping: false };
  await marks.write(healed, revision);
  return true;
}

async function restoreLimits(jsm: JetStreamManager, stream: string): Promise<void> {
  await jsm.streams.update(stream, UNBOUNDED);
}
