/** Archives as a running realm has them: the log as a whole, and the parts of a run. */
import type { NatsConnection } from '@nats-io/nats-core';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import type { Subjects } from '#runtime/bus/subjects';
import { apiRequest } from '#runtime/node/api';
import { utf8 } from '#runtime/witness/bytes';
import type { LogReader } from '#runtime/witness/log-reader';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { parseVerifierKey } from '#runtime/witness/note';
import { witnessServiceErrors } from '#runtime/witness/service/errors';
import { natsWitnessStore } from '#runtime/witness/service/state-store';
import { tilePath } from '#runtime/witness/tiles';
import type { FindTile } from '#runtime/witness/verify/signed-tree';
import { FabricError } from '#schemas/fabric-error';
import type { ArchiveParts } from './archiver.ts';
import { Marks } from './mark.ts';
import { openArchive, WholeLog } from './reader.ts';
import { type ArchiveStore, openStore } from './store.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The log of a realm, with what is archived of it where the stream no longer has it. Its methods throw `archive_…`. */
export async function openWholeLog(nc: NatsConnection, subjects: Subjects, env: Env): Promise<LogReader> {
  const archive = async (): Promise<LogReader | undefined> => {
    const { mark } = await (await Marks.open(nc, subjects.buckets.witness)).read();
    return mark === undefined ? undefined : await openArchive(openStore(mark.place, '/', env));
  };
  return new WholeLog(archive, await natsLogReader(nc, subjects));
}

/** Tiles of the signed tree, from the node that builds it. */
export function realmTile(nc: NatsConnection, subjects: Subjects): FindTile {
  return async (tile) => {
    try {
      const read = tilePath(tile);
      const { bytes } = await apiRequest<{ bytes: string }>(nc, subjects.api('witness'), { read });
      return Buffer.from(bytes, 'base64');
    } catch (thrown) {
      if (thrown instanceof FabricError && thrown.code === witnessServiceErrors.tile_missing.code)
        return undefined;
      throw thrown;
    }
  };
}

export interface PartsOptions {
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly shards: number;
  readonly realm: string;
  readonly store: ArchiveStore;
  readonly tile: FindTile;
}

/** What a run of {@link archiveLog} needs. The checkpoint is the newest of the realm; without one only the chain counts. */
export async function archiveParts({
  nc,
  subjects,
  shards,
  realm,
  store,
  tile,
}: PartsOptions): Promise<ArchiveParts> {
  const witness = await natsWitnessStore(nc, subjects.buckets.witness);
  const [{ value: state }, { value: note }] = [await witness.state(), await witness.note()];
  const key = state === undefined ? undefined : parseVerifierKey(nodePrimitives.sha256, state.key);
  const evidence =
    state === undefined || note === undefined || key === undefined
      ? undefined
      : { checkpoint: utf8(note.note), trust: { key }, tile, text: note.note, keyText: state.key };
  return {
    nc,
    subjects,
    shards,
    realm,
    stream: await natsLogReader(nc, subjects),
    blobs: await natsBlobs(nc, subjects),
    store,
    marks: await Marks.open(nc, subjects.buckets.witness),
    ...(evidence !== undefined && { evidence }),
  };
}
