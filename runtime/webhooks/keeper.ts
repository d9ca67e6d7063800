/** Runs the webhooks of a realm on one of its nodes at a time. */
import { resolve } from 'node:path';
import type { NatsConnection } from '@nats-io/nats-core';
import { openWholeLog } from '#runtime/archive/open';
import type { Subjects } from '#runtime/bus/subjects';
import { acquireLease } from '#runtime/claims/lease';
import { WEBHOOKS_LEASE } from '#runtime/claims/lease-names';
import type { LeaseStore } from '#runtime/claims/lease-store';
import type { Clock, Logger, Random } from '#runtime/shard/ports';
import type { RealmConfig } from '#schemas/config';
import { toWireError } from '#schemas/fabric-error';
import { Places } from './place.ts';
import { rest } from './rest.ts';
import { readSecret } from './signature.ts';
import { deliver } from './webhook.ts';

export interface WebhookParts {
  readonly nodeId: string;
  readonly config: RealmConfig;
  readonly baseDir: string;
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly leases: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class WebhookKeeper {
  readonly #parts: WebhookParts;
  readonly #stopped = new AbortController();
  #working: Promise<void> = Promise.resolve();

  private constructor(parts: WebhookParts) {
    this.#parts = parts;
  }

  /** Throws what is wrong with a secret before anything runs. */
  static async open(parts: WebhookParts): Promise<WebhookKeeper> {
    for (const { secretFile } of parts.config.webhooks) await readSecret(resolve(parts.baseDir, secretFile));
    const keeper = new WebhookKeeper(parts);
    keeper.#working = keeper.#work();
    return keeper;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#working;
  }

  /** Waits for its turn, delivers until the lease is lost or something fails, and waits again. */
  async #work(): Promise<void> {
    const { signal } = this.#stopped;
    const { clock, config, logger } = this.#parts;
    while (!signal.aborted) {
      try {
        await this.#turn();
      } catch (thrown) {
        if (!signal.aborted) logger.error({ error: toWireError(thrown) }, 'webhooks_failed');
      }
      if (!signal.aborted) await rest(clock, config.limits.leaseTtlMs, signal);
    }
  }

  async #turn(): Promise<void> {
    const { nodeId, config, baseDir, nc, subjects, leases, clock, random, logger } = this.#parts;
    const lease = await acquireLease({
      store: leases,
      key: WEBHOOKS_LEASE,
      holder: nodeId,
      ttlMs: config.limits.leaseTtlMs,
      clock,
      random,
      logger,
    });
    if (lease === undefined) return;
    const over = new AbortController();
    void lease.lost.then(() => over.abort());
    const signal = AbortSignal.any([this.#stopped.signal, over.signal]);
    try {
      const places = await Places.open(nc, subjects.buckets.witness);
      const log = await openWholeLog(nc, subjects, process.env);
      await Promise.all(
        config.webhooks.map((hook) =>
          deliver(
            {
              hook,
              secretFile: resolve(baseDir, hook.secretFile),
              realm: config.realm,
              log,
              places,
              clock,
              random,
              logger,
            },
            signal,
          ).finally(() => over.abort()),
        ),
      );
    } finally {
      await lease.release();
    }
  }
}
