/**
 * What the witness must not forget: the last checkpoint that it may have signed, and the breaks it has told of.
 *
 * Every write is a compare-and-swap at the leader of the bucket. A read may be stale (buckets are read from any
 * replica); a swap made from a stale read is refused.
 */

import { JetStreamApiError } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { z } from 'zod';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from '#runtime/bus/tidy-jetstream';
import { FabricError } from '#schemas/fabric-error';
import type { LogBreak } from '#schemas/log-break';
import { isShard } from '../log-reader.ts';
import { witnessServiceErrors } from './errors.ts';

/** The tree as it was last signed, and where each shard's chain stood then. */
export interface SignedState {
  readonly origin: string;
  /** Verifier key of the realm. */
  readonly key: string;
  /** Leaves. */
  readonly size: number;
  /** Root hash, base64. */
  readonly root: string;
  readonly heads: readonly ChainHead[];
}

/** The last commit of a shard. */
export interface ChainHead {
  readonly shard: number;
  readonly index: number;
  /** SHA-256 of its stored bytes, base64. */
  readonly hash: string;
  /** ms since the epoch. */
  readonly at: number;
}

/** A signed checkpoint as it is published, with the cosignatures it has. */
export interface PublishedNote {
  readonly size: number;
  readonly note: string;
}

/** A break, and whether it is an entry of the log already. */
export interface KnownBreak extends LogBreak {
  /** ms since the epoch. */
  readonly foundAt: number;
  readonly raised: boolean;
}

export interface Versioned<T> {
  readonly value: T;
  /** 0 where nothing is stored. */
  readonly revision: number;
}

export interface WitnessStore {
  state(): Promise<Versioned<SignedState | undefined>>;
  /** The new revision; undefined where the stored one is not `revision` any more. Rejects when that is unclear. */
  swapState(state: SignedState, revision: number): Promise<number | undefined>;
  note(): Promise<Versioned<PublishedNote | undefined>>;
  swapNote(note: PublishedNote, revision: number): Promise<number | undefined>;
  /** The newest checkpoint with the most cosignatures. */
  cosigned(): Promise<Versioned<PublishedNote | undefined>>;
  swapCosigned(note: PublishedNote, revision: number): Promise<number | undefined>;
  breaks(): Promise<Versioned<readonly KnownBreak[]>>;
  swapBreaks(breaks: readonly KnownBreak[], revision: number): Promise<number | undefined>;
}

/** "wrong last sequence": the key has another revision. */
const WRONG_LAST_SEQUENCE = 10_071;

/** Of a message under a subject of no shard null was stored once; a witness goes on from there as without it. */
const headSchema = z.object({ shard: z.int().nullable(), index: z.int(), hash: z.string(), at: z.number() });
const stateSchema = z.object({
  origin: z.string(),
  key: z.string(),
  size: z.int().min(0),
  root: z.string(),
  heads: z
    .array(headSchema)
    .transform((heads) =>
      heads.flatMap(({ shard, ...head }) => (shard !== null && isShard(shard) ? [{ shard, ...head }] : [])),
    ),
});
const noteSchema = z.object({ size: z.int().min(0), note: z.string() });
const breaksSchema = z.array(
  z.object({
    id: z.string(),
    kind: z.string(),
    seq: z.number(),
    shard: z
      .number()
      .nullish()
      .transform((shard) => (isShard(shard ?? Number.NaN) ? shard : undefined)),
    index: z.number().optional(),
    what: z.string(),
    foundAt: z.number(),
    raised: z.boolean(),
  }),
) as unknown as z.ZodType<readonly KnownBreak[]>;

export async function natsWitnessStore(nc: NatsConnection, bucket: string): Promise<WitnessStore> {
  const kv = await new Kvm(tidyJetStream(nc, { timeout: JETSTREAM_TIMEOUT_MS })).open(bucket);
  const cell = <T>(key: string, schema: z.ZodType<T>) => ({
    read: () => read(kv, key, schema),
    swap: (value: T, revision: number) => swap(kv, key, value, revision),
  });
  const state = cell('state', stateSchema);
  const note = cell('checkpoint', noteSchema);
  const cosigned = cell('cosigned', noteSchema);
  const breaks = cell('breaks', breaksSchema);
  return {
    state: state.read,
    swapState: state.swap,
    note: note.read,
    swapNote: note.swap,
    cosigned: cosigned.read,
    swapCosigned: cosigned.swap,
    breaks: async () => {
      const { value = [], revision } = await breaks.read();
      return { value, revision };
    },
    swapBreaks: breaks.swap,
  };
}

/** Throws `witness_state_bad` for what no witness wrote: it must not be taken for "nothing was signed yet". */
async function read<T>(kv: KV, key: string, schema: z.ZodType<T>): Promise<Versioned<T | undefined>> {
  const found = await kv.get(key);
  if (found === null) return { value: undefined, revision: 0 };
  const parsed = found.operation === 'PUT' ? schema.safeParse(jsonOf(found.string())) : undefined;
  if (parsed?.success !== true) {
    throw new FabricError(
      witnessServiceErrors.witness_state_bad,
      `"${key}" of the witness bucket cannot be read`,
      {
        details: { key, revision: found.revision },
      },
    );
  }
  return { value: parsed.data, revision: found.revision };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No schema takes it.
    return undefined;
  }
}

async function swap(kv: KV, key: string, value: unknown, revision: number): Promise<number | undefined> {
  try {
    return await kv.put(key, JSON.stringify(value), { previousSeq: revision });
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return undefined;
    throw error;
  }
}
