/**
 * Named blobs for whoever may have no consumer: each piece of an object is asked for by itself (ADR-20: a description
 * under `M`, pieces under `C`). Only reads.
 */
import type { JetStreamManager } from '@nats-io/jetstream';
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import { sha256 } from './codec.ts';
import { busErrors } from './errors.ts';

const infoSchema = z.object({
  name: z.string(),
  nuid: z.string().default(''),
  deleted: z.boolean().default(false),
  digest: z.string().default(''),
});
const DIGEST = 'SHA-256=';

/** Names that begin so. */
export async function listSingly(jsm: JetStreamManager, bucket: string, prefix: string): Promise<string[]> {
  const meta = `$O.${bucket}.M.`;
  const { state } = await jsm.streams.info(`OBJ_${bucket}`, { subjects_filter: `${meta}>` });
  const names = Object.keys(state.subjects ?? {})
    .map((subject) => Buffer.from(subject.slice(meta.length), 'base64url').toString())
    .filter((name) => name.startsWith(prefix));
  const infos = await Promise.all(names.map((name) => infoOf(jsm, bucket, name)));
  return infos.flatMap((info) => (info === undefined || info.deleted ? [] : [info.name]));
}

/** Throws `object_corrupt` where the pieces are not what was stored. */
export async function getSingly(
  jsm: JetStreamManager,
  bucket: string,
  name: string,
): Promise<Uint8Array | undefined> {
  const info = await infoOf(jsm, bucket, name);
  if (info === undefined || info.deleted) return undefined;
  const subject = `$O.${bucket}.C.${info.nuid}`;
  const { state } = await jsm.streams.info(`OBJ_${bucket}`, { subjects_filter: subject });
  let left = state.subjects?.[subject] ?? 0;
  const pieces: Uint8Array[] = [];
  for (let seq = state.first_seq; left > 0; left -= 1) {
    // The types know only of a number, or of a last one.
    const next = { seq, next_by_subj: subject } as { seq: number };
    const found = await jsm.streams.getMessage(`OBJ_${bucket}`, next);
    if (found === null) break;
    pieces.push(found.data);
    seq = found.seq + 1;
  }
  const bytes = Buffer.concat(pieces);
  const digest = Buffer.from(sha256(bytes)).toString('base64url');
  if (info.digest.slice(DIGEST.length).replace(/=+$/, '') === digest) return bytes;
  throw new FabricError(busErrors.object_corrupt, `${name} is not what was stored under its digest`, {
    details: { name },
  });
}

async function infoOf(
  jsm: JetStreamManager,
  bucket: string,
  name: string,
): Promise<z.infer<typeof infoSchema> | undefined> {
  // The client writes the padding too.
  const encoded = Buffer.from(name).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  const found = await jsm.streams.getMessage(`OBJ_${bucket}`, {
    last_by_subj: `$O.${bucket}.M.${encoded}`,
  });
  return found === null ? undefined : infoSchema.parse(found.json());
}
