/**
 * Clients: each operation is asked, or sent, again under the same id until its end is known. Answers are looked at as
 * they come.
 */
import { Buffer } from 'node:buffer';
import type { Ask, Encoded } from '#runtime/shard/ports';
import type { WireError } from '#schemas/fabric-error';
import type { Weather } from './link.ts';
import { Link } from './link.ts';
import type { Op } from './load.ts';
import { Process } from './process.ts';
import type { Server } from './server.ts';
import type { World } from './world.ts';

const ANSWER_MS_MAX = 1_000;
const RETRY_MS_MAX = 400;

/** What became of an operation. */
export interface Outcome {
  readonly op: Op;
  /** Times it was published. */
  tries: number;
  /** Doors that heard a try: while a shard moves, two may. */
  heard: number;
  /** ms since the beginning; of the first try. */
  firstAt: number | undefined;
  end: 'open' | 'done' | 'refused' | 'given_up';
  endAt: number | undefined;
  reply: unknown;
  error: WireError | undefined;
  commit: { readonly shard: number; readonly index: number } | undefined;
}

export type AnswerBody =
  | { readonly ok: true; readonly reply?: unknown; readonly commit: { shard: number; index: number } }
  | { readonly ok: false; readonly error: WireError };

export class SimClient {
  readonly link: Link;
  readonly outcomes: Outcome[] = [];
  readonly #world: World;
  readonly #process: Process;
  readonly #server: Server;
  readonly #name: string;
  readonly #replied: (outcome: Outcome, body: AnswerBody) => void;

  /** `replied` hears of every answer as it leaves its node. */
  constructor(
    server: Server,
    name: string,
    weather: Weather,
    ops: readonly Op[],
    replied: (outcome: Outcome, body: AnswerBody) => void,
  ) {
    this.#world = server.world;
    this.#server = server;
    this.#name = name;
    this.#replied = replied;
    this.#process = new Process(this.#world, name);
    this.link = new Link(this.#process, weather, () => server.isUp);
    for (const op of ops) {
      const outcome: Outcome = {
        op,
        tries: 0,
        heard: 0,
        firstAt: undefined,
        end: 'open',
        endAt: undefined,
        reply: undefined,
        error: undefined,
        commit: undefined,
      };
      this.outcomes.push(outcome);
      this.#world.after(op.at, () => this.#try(outcome));
    }
  }

  get isDone(): boolean {
    return this.outcomes.every(({ end }) => end !== 'open');
  }

  #try(outcome: Outcome): void {
    const { op } = outcome;
    if (outcome.end !== 'open') return;
    outcome.tries += 1;
    outcome.firstAt ??= this.#world.now;
    let isOver = false;
    const over = (then: () => void): void => {
      if (isOver) return;
      isOver = true;
      cancel();
      then();
    };
    const again = (): void => {
      if (op.triesMax !== undefined && outcome.tries >= op.triesMax) this.#end(outcome, 'given_up');
      else this.#world.after(this.#world.chance.skewed(5, RETRY_MS_MAX), () => this.#try(outcome));
    };
    const cancel = this.#world.after(ANSWER_MS_MAX, () => over(again));
    if (op.door === 'send') this.#send(outcome, over, again);
    else this.#ask(outcome, over, again);
  }

  #send(outcome: Outcome, over: (then: () => void) => void, again: () => void): void {
    const { op } = outcome;
    const { subjects } = this.#server;
    const shard = subjects.shardOf(op.actor);
    const subject = subjects.in(op.actor).replace('.in.', `.q.${shard}.`);
    this.link.up(
      `send ${op.id}`,
      (answered) => {
        let stored = true;
        try {
          this.#server.publish(shard, subject, op.body, {
            id: op.isNamed ? op.id : undefined,
            from: this.#name,
          });
        } catch {
          stored = false;
        }
        if (!answered) return;
        this.link.down(`stored ${op.id}`, () => over(stored ? () => this.#end(outcome, 'done') : again));
      },
      false,
    );
  }

  #ask(outcome: Outcome, over: (then: () => void) => void, again: () => void): void {
    const { op } = outcome;
    const { subjects } = this.#server;
    let isAnswered = true;
    const ask: Ask = {
      subject: op.door === 'short' ? subjects.ask(op.actor) : subjects.askShard(op.actor),
      body: op.body,
      contentType: undefined,
      id: op.isNamed ? op.id : undefined,
      from: this.#name,
      trace: undefined,
      respond: (encoded) => {
        const body = decoded(encoded);
        this.#replied(outcome, body);
        if (!isAnswered) return;
        this.link.down(`answer ${op.id}`, () => over(() => this.#answered(outcome, body, again)));
      },
    };
    this.link.up(
      `ask ${op.id}`,
      (answered) => {
        isAnswered = answered;
        const heard =
          op.door === 'short'
            ? this.#server.askShort(ask)
            : this.#server.ask(subjects.shardOf(op.actor), ask);
        outcome.heard += heard;
        if (heard === 0) this.link.down(`nobody ${op.id}`, () => over(again));
      },
      false,
    );
  }

  #answered(outcome: Outcome, body: AnswerBody, again: () => void): void {
    if (body.ok) {
      outcome.reply = body.reply;
      outcome.commit = body.commit;
      this.#end(outcome, 'done');
    } else if (body.error.retryable) {
      again();
    } else {
      outcome.error = body.error;
      this.#end(outcome, 'refused');
    }
  }

  #end(outcome: Outcome, end: Outcome['end']): void {
    this.#world.note(`end ${outcome.op.id} ${end}`);
    outcome.end = end;
    outcome.endAt = this.#world.now;
  }
}

function decoded(encoded: Encoded): AnswerBody {
  return JSON.parse(typeof encoded === 'string' ? encoded : Buffer.from(encoded).toString()) as AnswerBody;
}
