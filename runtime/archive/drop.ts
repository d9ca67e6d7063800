/**
 * Dropping what is archived from the stream, which allows no purge and no deletion: its limits are lowered for a moment,
 * and put back.
 *
 * D1  Only sequences that are archived and verified may go. While the limit is lowered each new commit pushes out the
 *     oldest; so {@link KEPT_MIN} archived messages stay as a margin, more than a realm writes until somebody notices.
 * D2  The record says `dropping` before the limits are lowered and until they are back; lowered, the stream itself says by
 *     {@link LOWERED} that a run did it. Whoever finds them so by either (every node at its start and each
 *     {@link GUARD_EVERY_MS}) puts them back. Limits of which neither says so are not ours to change.
 * D3  A record whose limits are not lowered is of a run that is about to, or that died: only once it has stood so for
 *     {@link UNDECLARE_AFTER_MS} does a guard take it away. A run that knows that it comes that late lowers nothing any
 *     more; one that does not, since it or its request was held up on the way, is what {@link LOWERED} is for.
 */
import { DiscardPolicy, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors } from './errors.ts';
import type { Marks } from './mark.ts';

/** D1: without fsync eight shards append some 56,000 commits a second here, and a node looks each second. */
export const KEPT_MIN = 65_536;
export const GUARD_EVERY_MS = 1_000;
/** D3: a run lowers the limits within milliseconds of saying so, and not at all after {@link LOWER_WITHIN_MS}. */
export const UNDECLARE_AFTER_MS = 2 * GUARD_EVERY_MS;
const LOWER_WITHIN_MS = 1_000;

/** In the log's metadata, set and taken away in one step with the limits: D2. */
const LOWERED = 'infrafabric.dropping';
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
  await marks.write(lowering, revision);
  const declaredAt = performance.now();
  probe?.('before_lower');
  // Those that came since are counted: more are kept then, never fewer.
  const { state: now, config } = await jsm.streams.info(stream);
  // D3
  if (performance.now() - declaredAt > LOWER_WITHIN_MS)
    throw new FabricError(archiveErrors.archive_busy, 'The server was too slow to drop anything safely');
  await jsm.streams.update(stream, {
    max_msgs: now.last_seq - first + 1,
    discard: DiscardPolicy.Old,
    metadata: { ...config.metadata, [LOWERED]: 'true' },
  });
  probe?.('lowered');
  await restoreLimits(jsm, stream, config);
  probe?.('restored');
  return await settle(jsm, stream, marks);
}

/** What a guard saw at its last look. */
export interface GuardMemory {
  revision: number;
  /** By the clock of `performance.now`. */
  since: number;
}

/**
 * D2: puts the limits back where a run ended half-way; true where it did. With a memory, which is the caller's to keep
 * from look to look, it also takes away what a dead run declared and never did (D3).
 */
export async function guardLimits(
  jsm: JetStreamManager,
  stream: string,
  marks: Marks,
  memory?: GuardMemory,
): Promise<boolean> {
  const { mark, revision } = await marks.read();
  // Of a log that was never archived nothing is dropped.
  if (mark === undefined) return false;
  const { config } = await jsm.streams.info(stream);
  if (isLowered(config) && (mark.dropping || config.metadata?.[LOWERED] !== undefined)) {
    await restoreLimits(jsm, stream, config);
    await settle(jsm, stream, marks);
    return true;
  }
  if (!mark.dropping || memory === undefined) return false;
  if (memory.revision !== revision) {
    memory.revision = revision;
    memory.since = performance.now();
  } else if (performance.now() - memory.since >= UNDECLARE_AFTER_MS) {
    await settle(jsm, stream, marks);
  }
  return false;
}

function isLowered({ discard, max_msgs: max }: StreamConfig): boolean {
  return discard === DiscardPolicy.Old || max > 0;
}

/** Records that the limits are back, and where the stream begins; gives that. Others may have done so already. */
async function settle(jsm: JetStreamManager, stream: string, marks: Marks): Promise<number> {
  for (;;) {
    const { mark, revision } = await marks.read();
    const { state } = await jsm.streams.info(stream);
    const dropped = Math.max(0, state.first_seq - 1);
    if (mark === undefined || (!mark.dropping && mark.dropped === dropped)) return state.first_seq;
    try {
      await marks.write({ ...mark, dropped, dropping: false }, revision);
      return state.first_seq;
    } catch (thrown) {
      if (!(thrown instanceof FabricError) || thrown.code !== archiveErrors.archive_busy.code) throw thrown;
    }
  }
}

async function restoreLimits(jsm: JetStreamManager, stream: string, config: StreamConfig): Promise<void> {
  const { [LOWERED]: _, ...metadata } = config.metadata ?? {};
  await jsm.streams.update(stream, { ...UNBOUNDED, metadata });
}
