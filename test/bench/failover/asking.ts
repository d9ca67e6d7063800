/**
 * Callers on every shard, each with a counter of its own: what was acknowledged is a number that has to follow the last.
 * Beside them, for each shard, asks that begin at an even beat whatever became of those before: who asks in the midst of
 * an outage waits too.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Subjects } from '#runtime/bus/subjects';
import type { Client } from '#runtime/client/node';

const CALLERS_PER_SHARD = 2;
const THINK_MS = 20;
const BEAT_MS = 100;
/** No ask is given up in a run. */
const ASK_TIMEOUT_MS = 120_000;

export interface Asked {
  readonly from: number;
  readonly to: number;
  readonly shard: number;
}

export class Asking implements AsyncDisposable {
  readonly asked: Asked[] = [];
  /** What was acknowledged and is not there, or is there twice; and asks that failed. */
  readonly wrong: string[] = [];
  readonly #client: Client;
  readonly #shards: number;
  readonly #stopping = new AbortController();
  readonly #callers: Promise<void>[];

  constructor(client: Client, subjects: Subjects) {
    this.#client = client;
    this.#shards = subjects.shards;
    const { shards } = subjects;
    this.#callers = [
      ...Array.from({ length: shards * CALLERS_PER_SHARD }, (_, n) =>
        this.#call(actorOn(subjects, n % shards, `c${n}`), n % shards),
      ),
      ...Array.from({ length: shards }, (_, n) => this.#beat(actorOn(subjects, n, `b${n}`), n)),
    ];
  }

  /** Answered asks whose waiting touches the span. */
  during(from: number, to: number): readonly Asked[] {
    return this.asked.filter((one) => one.to >= from && one.from <= to);
  }

  /** Resolves when an ask of each shard that began later has its answer: whatever waited before has it too. */
  async answeredSince(since: number): Promise<void> {
    const waiting = new Set(Array.from({ length: this.#shards }, (_, shard) => shard));
    for (let next = this.asked.length; waiting.size > 0; await pause(THINK_MS)) {
      for (; next < this.asked.length; next += 1) {
        const one = this.asked[next];
        if (one !== undefined && one.from >= since) waiting.delete(one.shard);
      }
      if (this.wrong.length > 0) throw new Error(this.wrong.join('; '));
    }
  }

  /** Lets what is under way end. */
  async end(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#callers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  async #call(actor: string, shard: number): Promise<void> {
    for (let acknowledged = 0; !this.#stopping.signal.aborted; await pause(THINK_MS)) {
      const n = await this.#ask(actor, shard);
      if (n === undefined) return;
      if (n !== acknowledged + 1) this.wrong.push(`${actor} is at ${n} after ${acknowledged} and one more`);
      acknowledged = n;
    }
  }

  async #beat(actor: string, shard: number): Promise<void> {
    const asks: Promise<number | undefined>[] = [];
    for (; !this.#stopping.signal.aborted; await pause(BEAT_MS)) asks.push(this.#ask(actor, shard));
    const counts = new Set(await Promise.all(asks));
    const isEach = asks.every((_, n) => counts.has(n + 1));
    if (!isEach) this.wrong.push(`${actor} did not count to ${asks.length} by ones`);
  }

  /** What the counter is at; undefined where the ask failed. */
  async #ask(actor: string, shard: number): Promise<number | undefined> {
    const from = performance.now();
    try {
      const { reply } = await this.#client.ask(actor, { type: 'inc' }, { timeoutMs: ASK_TIMEOUT_MS });
      this.asked.push({ from, to: performance.now(), shard });
      return (reply as { readonly n: number }).n;
    } catch (thrown) {
      this.wrong.push(`${actor}: ${String(thrown)}`);
      return undefined;
    }
  }
}

/** An actor that lives in the shard. */
function actorOn(subjects: Subjects, shard: number, name: string): string {
  for (let n = 0; ; n += 1) {
    const actor = `counter/${name}-${n}`;
    if (subjects.shardOf(actor) === shard) return actor;
  }
}
