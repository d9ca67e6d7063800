/** What a shard stores and tells outside after a commit. */
import { type JetStreamClient, jetstream } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { encode } from '#runtime/bus/codec';
import type { DeadLetter, Outbox } from '#runtime/shard/ports';
import { isActorId, isActorType } from '#schemas/address';
import type { Subjects } from './subjects.ts';

const encoder = new TextEncoder();
/** Where letters lie that name no actor. */
const UNADDRESSED = 'unknown/unknown';

export function natsOutbox(nc: NatsConnection, subjects: Subjects): Outbox {
  const js: JetStreamClient = jetstream(nc);
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
      await js.publish(deadSubject(subjects, letter), letter.body, { headers: hdrs });
    },

    event(actor, name, body) {
      if (nc.isClosed()) return;
      nc.publish(subjects.event(actor, name), encoder.encode(JSON.stringify(body) ?? 'null'));
    },
  };
}

/** Where a letter lies; one to a name that no actor can have (a machine may send to any text) has a place of its own. */
function deadSubject(subjects: Subjects, { actor }: DeadLetter): string {
  const slash = actor.indexOf('/');
  const isAddress = isActorType(actor.slice(0, Math.max(slash, 0))) && isActorId(actor.slice(slash + 1));
  return subjects.dead(isAddress ? actor : UNADDRESSED);
}

/** Header values are one line of printable ASCII. */
function headerText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 1_000);
}
