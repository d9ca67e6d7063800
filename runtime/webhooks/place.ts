/** How far a webhook has come: a key of the bucket in which readers of the log keep their marks. */
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from '#runtime/bus/tidy-jetstream';

export class Places {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  static async open(nc: NatsConnection, bucket: string): Promise<Places> {
    return new Places(await new Kvm(tidyJetStream(nc, { timeout: JETSTREAM_TIMEOUT_MS })).open(bucket));
  }

  /** Sequence of the last commit of which all is delivered; undefined before the first. */
  async read(name: string): Promise<number | undefined> {
    const entry = await this.#kv.get(key(name));
    if (entry === null || entry.operation !== 'PUT') return undefined;
    const seq = Number(entry.string());
    return Number.isSafeInteger(seq) ? seq : undefined;
  }

  async write(name: string, seq: number): Promise<void> {
    await this.#kv.put(key(name), String(seq));
  }
}

function key(name: string): string {
  return `webhook.${name}`;
}
