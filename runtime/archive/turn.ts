/**
 * Who archives a log: one run at a time, whoever started it, and when the last one ended. A record in the witness bucket,
 * since whoever may archive may write there, and only nodes may write leases.
 *
 * U1  A turn begins by compare-and-swap on a record that nobody holds, or whose holder was not heard of for {@link TURN_MS}.
 * U2  It is held on to before every step that changes the archive: a run that slept while another took its turn ends there.
 * U3  What the record is for is peace, not safety: two runs would write the same segments, and drops have a record of
 *     their own (D2 of drop.ts).
 */
import { JetStreamApiError } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { z } from 'zod';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from '#runtime/bus/tidy-jetstream';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors } from './errors.ts';

const KEY = 'archive.turn';
const WRONG_LAST_SEQUENCE = 10_071;
/** Longer than any segment takes; what a run that died costs the next one. */
export const TURN_MS = 5 * 60_000;

const recordSchema = z.object({
  /** Empty: nobody. */
  holder: z.string(),
  /** When the holder said so last, ms since the epoch. */
  at: z.number(),
  /** When the last run ended, ms since the epoch; the schedule counts from there. */
  endedAt: z.number(),
});

type TurnRecord = z.infer<typeof recordSchema>;

export interface TurnOptions {
  readonly nc: NatsConnection;
  /** The witness bucket. */
  readonly bucket: string;
  /** Of this run alone. */
  readonly holder: string;
  readonly now: () => number;
}

export class ArchiveTurn {
  readonly #kv: KV;
  readonly #options: TurnOptions;
  #record: TurnRecord;
  #revision: number;

  private constructor(kv: KV, options: TurnOptions, record: TurnRecord, revision: number) {
    this.#kv = kv;
    this.#options = options;
    this.#record = record;
    this.#revision = revision;
  }

  /** U1. Throws `archive_busy` where another run is under way. */
  static async take(options: TurnOptions): Promise<ArchiveTurn> {
    const kv = await bucketOf(options);
    const { record, revision } = await read(kv);
    const now = options.now();
    if (record !== undefined && record.holder !== '' && now - record.at < TURN_MS) throw busy(record.holder);
    const taken = { holder: options.holder, at: now, endedAt: record?.endedAt ?? now };
    return new ArchiveTurn(kv, options, taken, await write(kv, taken, revision));
  }

  /** U2. Throws `archive_busy` where it has passed to another. */
  async hold(): Promise<void> {
    this.#record = { ...this.#record, at: this.#options.now() };
    this.#revision = await write(this.#kv, this.#record, this.#revision);
  }

  /** A run that failed ended too: a schedule tries again at its next time. */
  async end(): Promise<void> {
    const now = this.#options.now();
    try {
      await write(this.#kv, { holder: '', at: now, endedAt: now }, this.#revision);
    } catch (thrown) {
      // Another has it by now.
      if (!isBusy(thrown)) throw thrown;
    }
  }
}

/** When a schedule counts from: the end of the last run, or the first time that anybody asked. */
export async function lastArchiveEnd(options: Omit<TurnOptions, 'holder'>): Promise<number> {
  const kv = await bucketOf(options);
  const { record, revision } = await read(kv);
  if (record !== undefined) return record.endedAt;
  const now = options.now();
  try {
    await write(kv, { holder: '', at: now, endedAt: now }, revision);
  } catch (thrown) {
    // Whoever was first asked at the same time, too.
    if (!isBusy(thrown)) throw thrown;
  }
  return now;
}

export function isBusy(thrown: unknown): boolean {
  return thrown instanceof FabricError && thrown.code === archiveErrors.archive_busy.code;
}

async function bucketOf({ nc, bucket }: Pick<TurnOptions, 'nc' | 'bucket'>): Promise<KV> {
  return await new Kvm(tidyJetStream(nc, { timeout: JETSTREAM_TIMEOUT_MS })).open(bucket);
}

async function read(kv: KV): Promise<{ readonly record: TurnRecord | undefined; readonly revision: number }> {
  const entry = await kv.get(KEY);
  if (entry === null || entry.operation !== 'PUT')
    return { record: undefined, revision: entry?.revision ?? 0 };
  return { record: recordSchema.parse(entry.json()), revision: entry.revision };
}

async function write(kv: KV, record: TurnRecord, revision: number): Promise<number> {
  try {
    return await kv.put(KEY, JSON.stringify(record), { previousSeq: revision });
  } catch (cause) {
    if (!(cause instanceof JetStreamApiError) || cause.code !== WRONG_LAST_SEQUENCE) throw cause;
    throw busy('another', cause);
  }
}

function busy(holder: string, cause?: unknown): FabricError {
  return new FabricError(archiveErrors.archive_busy, 'Another run archives this log', {
    details: { holder },
    cause,
  });
}
