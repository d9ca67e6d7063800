/**
 * The bucket of leases, followed for as long as a node lives. It lies in memory: a server that restarts has lost it, and
 * one that takes over may have lost its end. Both are noticed, and the bucket is made again where it is gone.
 */
import { JetStreamApiError, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { type KvEntry, Kvm } from '@nats-io/kv';
import { ensureLeaseBucket } from '#runtime/bus/streams';
import type { DriverRealm } from '#runtime/effects/driver';

export interface LeaseNews {
  readonly row: (key: string, value: string | undefined) => void;
  /** What was told before counts no more. */
  readonly lost: () => void;
}

/** How often the bucket is looked at: a loss costs holders nothing, as long as it is noticed within a lease. */
const LOOK_MS = 500;
/**
 * A row that ends leaves a marker for a minute: who could not look for as long as this, cut off or at a server that was,
 * may miss it. It is less, for a watch comes back some seconds after its connection.
 */
const AWAY_MS = 30_000;
const STREAM_NOT_FOUND = 10_059;

export async function followLeases(
  { nc, subjects, clock, logger }: DriverRealm,
  news: LeaseNews,
): Promise<AsyncDisposable> {
  const bucket = subjects.buckets.leases;
  const stream = `KV_${bucket}`;
  const jsm: JetStreamManager = await jetstreamManager(nc);
  let seen = { created: '', last: 0 };
  let lookedAt = clock.now();
  let watch: { stop(): void } | undefined;
  let timer: unknown;
  let isClosed = false;

  async function follow(): Promise<void> {
    const { created, state } = await jsm.streams.info(stream);
    const now = clock.now();
    const awayMs = now - lookedAt;
    if (watch !== undefined && created === seen.created && state.last_seq >= seen.last && awayMs < AWAY_MS) {
      seen.last = state.last_seq;
      lookedAt = now;
      return;
    }
    watch?.stop();
    watch = undefined;
    if (seen.created !== '') {
      logger.warn({ bucket, lastSeq: state.last_seq, before: seen.last, awayMs }, 'leases.lost');
      news.lost();
    }
    seen = { created, last: state.last_seq };
    const entries = await (await new Kvm(nc).open(bucket)).watch({ key: '>' });
    watch = entries;
    lookedAt = now;
    void tell(entries);
  }

  async function tell(entries: AsyncIterable<KvEntry>): Promise<void> {
    for await (const entry of entries) {
      if (isClosed || entries !== (watch as unknown)) return;
      news.row(entry.key, entry.operation === 'PUT' ? entry.string() : undefined);
    }
  }

  async function look(): Promise<void> {
    try {
      await follow();
    } catch (thrown) {
      if (isClosed) return;
      if (thrown instanceof JetStreamApiError && thrown.code === STREAM_NOT_FOUND) await make();
      else logger.warn({ bucket, error: (thrown as Error).message }, 'leases.unread');
    }
    if (!isClosed) timer = clock.setTimer(() => void look(), LOOK_MS);
  }

  async function make(): Promise<void> {
    try {
      const { config } = await jsm.streams.info(subjects.streams.log);
      await ensureLeaseBucket(nc, bucket, config.num_replicas);
      await follow();
    } catch (thrown) {
      // The next look tries again.
      logger.warn({ bucket, error: (thrown as Error).message }, 'leases.unmade');
    }
  }

  await look();
  return {
    async [Symbol.asyncDispose]() {
      isClosed = true;
      clock.clearTimer(timer);
      watch?.stop();
    },
  };
}
