/** Dead letters as the command line reads them, straight from their stream. */
import { randomUUID } from 'node:crypto';
import { jetstream, jetstreamManager, type StoredMsg } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { decodeBody, encodeBody } from '#runtime/bus/codec';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { BLOB_HEADER } from '#runtime/bus/nats-outbox';
import { addressOfTail, type Subjects } from '#runtime/bus/subjects';
import { bodyName } from '#runtime/shard/bodies';
import { FabricError } from '#schemas/fabric-error';
import { cliErrors } from './errors.ts';
import type { Letter } from './realm.ts';

/** The newest first. Of a body that lies in the object store only the hash is told. */
export async function lastLetters(nc: NatsConnection, subjects: Subjects, limit: number): Promise<Letter[]> {
  const { state } = await (await jetstreamManager(nc)).streams.info(subjects.streams.dead);
  const found: Letter[] = [];
  for (let seq = state.last_seq; seq >= state.first_seq && seq > 0 && found.length < limit; seq -= 1) {
    const message = await stored(nc, subjects, seq);
    if (message !== undefined) found.push(letterOf(message, message.data));
  }
  return found;
}

export async function letterAt(
  nc: NatsConnection,
  subjects: Subjects,
  seq: number,
): Promise<Letter | undefined> {
  const message = await stored(nc, subjects, seq);
  return message === undefined ? undefined : letterOf(message, await wholeBody(nc, subjects, message));
}

/** The body goes out again byte by byte as it came: what was signed stays signed. */
export async function retryLetter(
  nc: NatsConnection,
  subjects: Subjects,
  letter: Letter,
): Promise<{ readonly id: string; readonly seq: number }> {
  const id = `retry-${letter.seq}-${randomUUID()}`;
  const message = await stored(nc, subjects, letter.seq);
  const hdrs = headers();
  hdrs.set('Nats-Msg-Id', id);
  if (letter.contentType !== undefined) hdrs.set('Content-Type', letter.contentType);
  if (letter.from !== undefined) hdrs.set('If-From', letter.from);
  const whole = message === undefined ? undefined : await wholeBody(nc, subjects, message);
  if (message !== undefined && whole === undefined) {
    throw new FabricError(
      cliErrors.letter_missing,
      `The body of dead letter ${letter.seq} is no longer in the object store`,
    );
  }
  const body = whole ?? encodeBody(letter.body, letter.contentType);
  const { seq } = await jetstream(nc).publish(subjects.in(letter.actor), body, { headers: hdrs });
  return { id, seq };
}

async function stored(nc: NatsConnection, subjects: Subjects, seq: number): Promise<StoredMsg | undefined> {
  const jsm = await jetstreamManager(nc);
  return (await jsm.streams.getMessage(subjects.streams.dead, { seq })) ?? undefined;
}

/** The body as it came, from the object store where the letter could not carry it; undefined where it is gone. */
async function wholeBody(
  nc: NatsConnection,
  subjects: Subjects,
  message: StoredMsg,
): Promise<Uint8Array | undefined> {
  const hash = message.header.get(BLOB_HEADER);
  return hash === '' ? message.data : await (await natsBlobs(nc, subjects)).get(bodyName(hash));
}

function letterOf(message: StoredMsg, body: Uint8Array | undefined): Letter {
  const read = (name: string): string | undefined => message.header.get(name) || undefined;
  const contentType = read('Content-Type');
  const from = read('If-From');
  const help = read('If-Dead-Help');
  const blob = read(BLOB_HEADER);
  const [shard = '0', index = '0'] = (read('If-Dead-Commit') ?? '').split('/');
  return {
    seq: message.seq,
    // The subject cannot hold what is no address.
    actor: read('If-Dead-Actor') ?? addressOfTail(message.subject),
    at: Date.parse(read('If-Dead-At') ?? '') || message.time.getTime(),
    error: {
      code: read('If-Dead-Code') ?? 'unknown',
      message: read('If-Dead-Reason') ?? '',
      retryable: false,
      ...(help !== undefined && { help }),
    },
    body:
      body === undefined || (body.byteLength === 0 && blob !== undefined)
        ? { blob }
        : bodyOf(body, contentType),
    ...(contentType !== undefined && { contentType }),
    ...(from !== undefined && { from }),
    shard: Number(shard),
    index: Number(index),
  };
}

/** Many are here because nobody could read them. */
function bodyOf(data: Uint8Array, contentType: string | undefined): unknown {
  try {
    return decodeBody(data, contentType);
  } catch {
    return { unreadable: Buffer.from(data).toString('base64') };
  }
}
