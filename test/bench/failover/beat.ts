/** Publishes at an even beat and waits for none of them: when answers came says from when to when nobody took a publish. */
import { type JetStreamManager, StorageType } from '@nats-io/jetstream';
import { headers, type MsgHdrs, type NatsConnection } from '@nats-io/nats-core';
import { AckMux } from '#runtime/bus/ack-mux';

const EVERY_MS = 10;
const ANSWER_TIMEOUT_MS = 30_000;
/** Nothing ever stands there: the leader refuses at once. */
const NEVER = '9007199254740991';

export interface Silence {
  readonly from: number;
  readonly to: number;
}

export async function makeBareStream(jsm: JetStreamManager, name: string, copies: number): Promise<void> {
  await jsm.streams.add({ name, subjects: [name], num_replicas: copies, storage: StorageType.File });
}

export class Beat implements AsyncDisposable {
  readonly #mux: AckMux;
  readonly #timer: NodeJS.Timeout;
  /** When answers came, in order. */
  readonly #answers: number[] = [];

  private constructor(
    nc: NatsConnection,
    subject: string,
    hdrs: MsgHdrs,
    isAnswer: (text: string) => boolean,
  ) {
    this.#mux = new AckMux(nc);
    this.#timer = setInterval(async () => {
      const reply = await this.#mux.request(subject, new Uint8Array(8), hdrs, ANSWER_TIMEOUT_MS);
      if (reply.kind === 'answer' && isAnswer(Buffer.from(reply.data).toString())) {
        this.#answers.push(performance.now());
      }
    }, EVERY_MS);
  }

  /** Stored and acknowledged. */
  static publishing(nc: NatsConnection, subject: string): Beat {
    return new Beat(nc, subject, headers(), (text) => text.includes('"seq"') && !text.includes('"error"'));
  }

  /** Refused by the leader for a sequence that nothing has. */
  static refused(nc: NatsConnection, subject: string): Beat {
    const hdrs = headers();
    hdrs.set('Nats-Expected-Last-Subject-Sequence', NEVER);
    return new Beat(nc, subject, hdrs, (text) => text.includes('wrong last sequence'));
  }

  /** The longest time between two answers that touches the span. */
  silence(from: number, to: number): Silence {
    let longest: Silence = { from, to: from };
    const before = this.#answers.findLastIndex((at) => at < from);
    let last = this.#answers[before] ?? from;
    for (const at of [...this.#answers.slice(before + 1), performance.now()]) {
      if (last > to) break;
      if (at - last > longest.to - longest.from) longest = { from: last, to: at };
      last = at;
    }
    return longest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#mux.close();
  }
}
