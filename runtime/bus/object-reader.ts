/**
 * Reads objects of a bucket message by message (ADR-20: a description under `M`, pieces under `C`), asked of the stream's
 * leader. Not with the client's own reading: that makes a consumer for each object and waits for minutes where the
 * server that had it is gone, and a shard that recovers waits with it.
 *
 * R1  Whatever is not answered is asked again: a leader that falls costs its election, and a realm without one an error.
 * R2  An object that is replaced meanwhile has not the digest that its description says: it is not given out.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import { sha256 } from './codec.ts';
import { busErrors } from './errors.ts';
import { isUnready } from './patience.ts';

/** What is not answered for so long was lost. */
const ANSWER_MS = 1_000;
const AGAIN_AFTER_MS = 100;
/** Together longer than a cluster takes to choose a leader. */
const ATTEMPTS_MAX = 30;

const infoSchema = z.object({
  name: z.string(),
  nuid: z.string().default(''),
  chunks: z.int().min(0).default(0),
  deleted: z.boolean().default(false),
  digest: z.string().default(''),
});
type Info = z.infer<typeof infoSchema>;
const DIGEST = 'SHA-256=';

export class ObjectReader {
  readonly #jsm: JetStreamManager;
  readonly #bucket: string;

  private constructor(jsm: JetStreamManager, bucket: string) {
    this.#jsm = jsm;
    this.#bucket = bucket;
  }

  static async open(nc: NatsConnection, bucket: string): Promise<ObjectReader> {
    return new ObjectReader(await jetstreamManager(nc, { checkAPI: false, timeout: ANSWER_MS }), bucket);
  }

  /** Names that begin so. */
  async list(prefix: string): Promise<string[]> {
    const meta = `$O.${this.#bucket}.M.`;
    const { state } = await this.#ask(() =>
      this.#jsm.streams.info(this.#stream, { subjects_filter: `${meta}>` }),
    );
    const names = Object.keys(state.subjects ?? {})
      .map((subject) => Buffer.from(subject.slice(meta.length), 'base64url').toString())
      .filter((name) => name.startsWith(prefix));
    const infos = await Promise.all(names.map((name) => this.#info(name)));
    return infos.flatMap((info) => (info === undefined ? [] : [info.name]));
  }

  /** Undefined where there is none of this name. Throws `object_corrupt` where the pieces are not what was stored (R2). */
  async get(name: string): Promise<Uint8Array | undefined> {
    const info = await this.#info(name);
    if (info === undefined) return undefined;
    const pieces: Uint8Array[] = [];
    for (let seq = 1; pieces.length < info.chunks; ) {
      const piece = await this.#next(`$O.${this.#bucket}.C.${info.nuid}`, seq);
      if (piece === null) break;
      pieces.push(piece.data);
      seq = piece.seq + 1;
    }
    const bytes = Buffer.concat(pieces);
    const digest = Buffer.from(sha256(bytes)).toString('base64url');
    if (info.digest.slice(DIGEST.length).replace(/=+$/, '') === digest) return bytes;
    throw new FabricError(busErrors.object_corrupt, `${name} is not what was stored under its digest`, {
      details: { name },
    });
  }

  get #stream(): string {
    return `OBJ_${this.#bucket}`;
  }

  async #info(name: string): Promise<Info | undefined> {
    // The client writes the padding too.
    const encoded = Buffer.from(name).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
    const query = { last_by_subj: `$O.${this.#bucket}.M.${encoded}` };
    const found = await this.#ask(() => this.#jsm.streams.getMessage(this.#stream, query));
    const info = found === null ? undefined : infoSchema.parse(found.json());
    return info?.deleted === true ? undefined : info;
  }

  async #next(subject: string, seq: number): ReturnType<JetStreamManager['streams']['getMessage']> {
    // The types know only of a number, or of a last one.
    const query = { seq, next_by_subj: subject } as { seq: number };
    return await this.#ask(() => this.#jsm.streams.getMessage(this.#stream, query));
  }

  /** R1. */
  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await ask();
      } catch (thrown) {
        if (attempt === ATTEMPTS_MAX || !isUnready(thrown)) throw thrown;
        await pause(AGAIN_AFTER_MS);
      }
    }
  }
}
