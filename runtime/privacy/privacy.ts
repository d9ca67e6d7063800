/**
 * The privacy of a realm, as a node has it: which kinds have personal fields, their data keys, and what stands between
 * them and everything that stores or tells. Off, and next to nothing, until a kind has personal fields.
 */
import type { KeyObject } from 'node:crypto';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import { JETSTREAM_TIMEOUT_MS } from '#runtime/bus/tidy-jetstream';
import type { Driver } from '#runtime/effects/driver';
import type { ActorKind } from '#runtime/machine/types';
import type { Admission, Ask, Clock, EdgeGate, Logger, ShardInbox } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { DataKeys } from './data-keys.ts';
import { PrivacyDoor } from './door.ts';
import { privacyDriver } from './driver.ts';
import { privateDriver } from './effects.ts';
import { privacyErrors } from './errors.ts';
import { type PrivacyGate, privacyGate } from './gate.ts';
import { natsInboxEraser } from './inbox-eraser.ts';
import { Marks } from './marks.ts';
import { natsKeyRows } from './nats-data-keys.ts';
import { ensurePrivacyKey, privacyKeyFile, readPrivacyKey } from './privacy-key.ts';

export interface PrivacyOptions {
  readonly realm: string;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What privacy needs of the bus, once there is one. */
export interface PrivacyBus {
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly isKind: (type: string) => boolean;
  readonly bodyBytesMax: number;
}

/** What a shard is given in place of its own. */
export interface PrivateShard {
  readonly admit: Admission;
  readonly inbox: ShardInbox;
  readonly gate: EdgeGate;
  readonly committed: (consumed: number) => void;
}

export class Privacy {
  readonly #options: PrivacyOptions;
  /** Driver `privacy`: for the redaction machine. */
  readonly driver: Driver;
  #marks: ReadonlyMap<string, Marks> = new Map();
  #bus: PrivacyBus | undefined;
  #jsm: JetStreamManager | undefined;
  #keys: DataKeys | undefined;
  #opening: Promise<DataKeys> | undefined;

  constructor(options: PrivacyOptions) {
    this.#options = options;
    this.driver = privacyDriver(() => this.keys());
  }

  /** True once a kind has personal fields: everything is looked at from then on. */
  get isOn(): boolean {
    return this.#keys !== undefined && this.#marks.size > 0;
  }

  async open(bus: PrivacyBus): Promise<void> {
    this.#bus = bus;
    this.#jsm = await jetstreamManager(bus.nc, { timeout: JETSTREAM_TIMEOUT_MS });
  }

  /**
   * Takes the kinds that are about to count. Their marks hold when it resolves; those of kinds that are gone go. Throws
   * `privacy_key_unreadable`, `privacy_key_mismatch`, `privacy_unavailable`.
   */
  async use(kinds: readonly ActorKind[]): Promise<void> {
    const marks = new Map<string, Marks>();
    for (const { type, personal } of kinds) if (personal !== undefined) marks.set(type, new Marks(personal));
    if (marks.size > 0) {
      const privacyKey = await this.#privacyKey();
      const present = await this.#opening;
      if (present?.canSeal === false) this.#opening = undefined;
      await this.#openKeys(privacyKey);
      if (present?.canSeal === false) await present[Symbol.asyncDispose]();
    }
    this.#marks = marks;
  }

  /** The data keys, also where no kind has personal fields any more: what was sealed is there still. */
  async keys(): Promise<DataKeys> {
    return this.#keys ?? (await this.#openKeys(await readPrivacyKey(this.#options.dataDir)));
  }

  /** A driver that sees plain values and gives back sealed ones. */
  private(driver: Driver): Driver {
    const { realm } = this.#options;
    return privateDriver(driver, {
      realm,
      marksOf: (type) => this.#marks.get(type),
      keys: () => this.keys(),
    });
  }

  /** What stands before the doors of a shard. */
  shard(shard: number, inbox: ShardInbox, inner: EdgeGate): PrivateShard {
    const gate = privacyGate(inner);
    let made: PrivacyDoor | undefined;
    const door = (): PrivacyDoor => {
      made ??= this.#door(shard, gate);
      return made;
    };
    return {
      gate,
      admit: (ask: Ask, next) => {
        if (this.isOn) door().ask(ask, next);
        else next(ask);
      },
      inbox: {
        open: (afterSeq, deliver) =>
          // Marks that come with a reload find the door in place.
          door().inbox(inbox).open(afterSeq, deliver),
        release: (seq) => door().inbox(inbox).release(seq),
      },
      committed: (consumed) => made?.committed(consumed),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keys?.[Symbol.asyncDispose]();
  }

  #door(shard: number, gate: PrivacyGate): PrivacyDoor {
    const { realm, clock, logger } = this.#options;
    const { subjects, isKind, bodyBytesMax } = this.#opened();
    return new PrivacyDoor({
      realm,
      shard,
      isOn: () => this.isOn,
      marksOf: (type) => this.#marks.get(type),
      personalTypes: () => [...this.#marks.keys()],
      isKind,
      isMail: (subject) => subjects.isMail(subject),
      keys: () => this.#keysAtHand(),
      bodyBytesMax,
      signedAs: (sealed, plain, body) => gate.signedAs(sealed, plain, body),
      eraser: natsInboxEraser(this.#manager(), subjects),
      clock,
      logger,
    });
  }

  /** Made by the first node of a realm; any other must have been given it. */
  async #privacyKey(): Promise<KeyObject> {
    const { dataDir } = this.#options;
    const present = await readPrivacyKey(dataDir);
    if (present !== undefined) return present;
    const { nc, subjects } = this.#opened();
    const rows = await natsKeyRows(nc, subjects.buckets.privacy);
    if ((await rows.check(undefined)) === undefined) return await ensurePrivacyKey(dataDir);
    throw new FabricError(
      privacyErrors.privacy_key_mismatch,
      `The realm has a privacy key, and ${privacyKeyFile(dataDir)} is not there`,
    );
  }

  #openKeys(privacyKey: KeyObject | undefined): Promise<DataKeys> {
    this.#opening ??= this.#begin(privacyKey).catch((thrown: unknown) => {
      this.#opening = undefined;
      throw thrown;
    });
    return this.#opening;
  }

  async #begin(privacyKey: KeyObject | undefined): Promise<DataKeys> {
    const { realm, clock, logger } = this.#options;
    const { nc, subjects } = this.#opened();
    const rows = await natsKeyRows(nc, subjects.buckets.privacy, logger);
    this.#keys = await DataKeys.open({ rows, realm, privacyKey, now: () => clock.now() });
    return this.#keys;
  }

  #keysAtHand(): DataKeys {
    if (this.#keys === undefined) throw new Error('invariant: data keys are open while there are marks');
    return this.#keys;
  }

  #opened(): PrivacyBus {
    if (this.#bus === undefined) throw new Error('invariant: privacy is opened before it is used');
    return this.#bus;
  }

  #manager(): JetStreamManager {
    if (this.#jsm === undefined) throw new Error('invariant: privacy is opened before it is used');
    return this.#jsm;
  }
}
