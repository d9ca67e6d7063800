/** What a realm knows of its archive: a record in the witness bucket, changed by compare-and-swap. */

import { JetStreamApiError } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { z } from 'zod';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from '#runtime/bus/tidy-jetstream';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors } from './errors.ts';

const KEY = 'archive';
const WRONG_LAST_SEQUENCE = 10_071;

const markSchema = z.object({
  /** Where the archive is: an absolute folder or s3://… */
  place: z.string(),
  /** Archived and verified up to this sequence. */
  through: z.int().min(0),
  /** The stream was told to drop up to this sequence. */
  dropped: z.int().min(0),
  /** Set while the stream's limits are lowered: whoever finds it puts them back. */
  dropping: z.boolean(),
});

export type ArchiveMark = z.infer<typeof markSchema>;

export class Marks {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  static async open(nc: NatsConnection, bucket: string): Promise<Marks> {
    return new Marks(await new Kvm(tidyJetStream(nc, { timeout: JETSTREAM_TIMEOUT_MS })).open(bucket));
  }

  /** Undefined where nothing was archived yet. */
  async read(): Promise<{ readonly mark: ArchiveMark | undefined; readonly revision: number }> {
    const entry = await this.#kv.get(KEY);
    if (entry === null || entry.operation !== 'PUT')
      return { mark: undefined, revision: entry?.revision ?? 0 };
    return { mark: markSchema.parse(entry.json()), revision: entry.revision };
  }

  /** The new revision. Throws `archive_busy` where the record was changed meanwhile. */
  async write(mark: ArchiveMark, revision: number): Promise<number> {
    try {
      return await this.#kv.put(KEY, JSON.stringify(mark), { previousSeq: revision });
    } catch (cause) {
      if (!(cause instanceof JetStreamApiError) || cause.code !== WRONG_LAST_SEQUENCE) throw cause;
      throw new FabricError(archiveErrors.archive_busy, 'Somebody else archives this log', { cause });
    }
  }
}
