/**
 * What a shard stores and tells outside after a commit.
 *
 * X1  No letter blocks those behind it for ever: a body that does not fit beside the headers lies in the object store,
 *     and a letter that no connection would carry is told of in the log and given up. Its entry stays in the log.
 * X2  A live event that has no JSON form, or that no connection would carry, is told of in the same way.
 */
import { JetStreamApiError, type JetStreamClient, jetstream } from '@nats-io/jetstream';
import {
  headers,
  InvalidArgumentError,
  InvalidSubjectError,
  type MsgHdrs,
  type NatsConnection,
} from '@nats-io/nats-core';
import { encode } from '#runtime/bus/codec';
import { bodyHash, bodyName } from '#runtime/shard/bodies';
import type { BlobStore, DeadLetter, Logger, Outbox } from '#runtime/shard/ports';
import { isActorId, isActorType } from '#schemas/address';
import { toWireError } from '#schemas/fabric-error';
import { eventHeaders } from './live-event.ts';
import type { Subjects } from './subjects.ts';

const encoder = new TextEncoder();
/** Where letters lie that name no actor. */
const UNADDRESSED = 'unknown/unknown';
/** Names the body in the object store where the letter could not carry it: sha256 in hex. */
export const BLOB_HEADER = 'If-Dead-Blob';
const PAYLOAD_BYTES_DEFAULT = 1024 * 1024;
/** More than the headers of a letter take; each of their values is cut. */
const HEADER_ROOM_BYTES = 8 * 1024;
/** Message larger than the stream takes. */
const TOO_LARGE = 10_054;

export interface OutboxDeps {
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly blobs: BlobStore;
  readonly logger: Logger;
}

export function natsOutbox({ nc, subjects, blobs, logger }: OutboxDeps): Outbox {
  const js: JetStreamClient = jetstream(nc);

  /** X1: the body as the letter carries it. */
  async function bodyOf({ id, body, blob }: DeadLetter, hdrs: MsgHdrs): Promise<Uint8Array> {
    const bytesMax = (nc.info?.max_payload ?? PAYLOAD_BYTES_DEFAULT) - HEADER_ROOM_BYTES;
    if (body.byteLength === 0 && blob !== undefined) hdrs.set(BLOB_HEADER, blob);
    if (body.byteLength <= bytesMax) return body;
    const hash = blob ?? bodyHash(body);
    hdrs.set(BLOB_HEADER, hash);
    try {
      await blobs.put(bodyName(hash), body);
    } catch (error) {
      // A full store does not hold up the letter. Everything else is tried again.
      if (!(error instanceof JetStreamApiError)) throw error;
      logger.error({ letter: id, bytes: body.byteLength, error: error.message }, 'dead_body_dropped');
    }
    return new Uint8Array();
  }

  return {
    async mail(target, bundle) {
      // No message id: a bundle that goes again behind a lost one (M1) must be stored again, not taken for a copy.
      await js.publish(subjects.mail(target, bundle.source), encode(bundle));
    },

    async dead(letter) {
      const hdrs = headers();
      hdrs.set('Nats-Msg-Id', `dead-${letter.id}`);
      if (letter.contentType !== undefined) hdrs.set('Content-Type', headerText(letter.contentType));
      if (letter.from !== undefined) hdrs.set('If-From', headerText(letter.from));
      hdrs.set('If-Dead-Actor', headerText(letter.actor));
      hdrs.set('If-Dead-Code', letter.error.code);
      hdrs.set('If-Dead-Reason', headerText(letter.error.message));
      hdrs.set('If-Dead-Help', headerText(letter.error.help ?? ''));
      hdrs.set('If-Dead-At', new Date(letter.at).toISOString());
      hdrs.set('If-Dead-Commit', `${letter.shard}/${letter.index}`);
      try {
        await js.publish(deadSubject(subjects, letter), await bodyOf(letter, hdrs), { headers: hdrs });
      } catch (error) {
        if (!isForEver(error)) throw error;
        const { actor, shard, index } = letter;
        logger.error(
          { actor, shard, index, code: letter.error.code, error: (error as Error).message },
          'dead_letter_dropped',
        );
      }
    },

    event(actor, name, body) {
      if (nc.isClosed()) return;
      try {
        nc.publish(subjects.event(actor, name), encoder.encode(JSON.stringify(body) ?? 'null'), {
          headers: eventHeaders(),
        });
      } catch (thrown) {
        logger.warn({ actor, name, error: toWireError(thrown) }, 'event_dropped'); // X2
      }
    },
  };
}

/** Where a letter lies; one to a name that no actor can have (a machine may send to any text) has a place of its own. */
function deadSubject(subjects: Subjects, { actor }: DeadLetter): string {
  const slash = actor.indexOf('/');
  const isAddress = isActorType(actor.slice(0, Math.max(slash, 0))) && isActorId(actor.slice(slash + 1));
  return subjects.dead(isAddress ? actor : UNADDRESSED);
}

/** What asking again does not change. */
function isForEver(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.code === TOO_LARGE;
  return error instanceof InvalidArgumentError || error instanceof InvalidSubjectError;
}

/** Header values are one line of printable ASCII. */
function headerText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 1_000);
}
