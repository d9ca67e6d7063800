/**
 * Sealing and opening for programs that have the privacy key of the realm: a sender seals before it sends, so that its
 * sends never rest in the clear in the inbox, and a reader opens what actors answer.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import { Subjects } from '#runtime/bus/subjects';
import { FabricError } from '#schemas/fabric-error';
import { personalSchema } from '#schemas/privacy';
import { DataKeys } from './data-keys.ts';
import { type PrivacyView, privacyView } from './display.ts';
import { privacyErrors } from './errors.ts';
import { Marks, type PersonalSchemas, rulesOf } from './marks.ts';
import { natsKeyRows } from './nats-data-keys.ts';
import { readPrivacyKey } from './privacy-key.ts';
import { planSealing } from './sealing.ts';

/** As the config of the kind has it under `personal`. */
export interface PersonalFields {
  readonly subject?: string;
  readonly fields?: readonly string[];
  /** What the machine's definition has under `personal`. */
  readonly schemas?: PersonalSchemas;
}

export interface VaultOptions {
  /** Name of the realm. */
  readonly realm: string;
  /** First token of every subject. Default `if`. */
  readonly prefix?: string;
  /** Holds `keys/privacy.key`. */
  readonly dataDir: string;
  /** By actor type. */
  readonly kinds: Readonly<Record<string, PersonalFields>>;
}

export class Vault implements AsyncDisposable {
  readonly #realm: string;
  readonly #keys: DataKeys;
  readonly #view: PrivacyView;
  readonly #marks: ReadonlyMap<string, Marks>;

  constructor(realm: string, keys: DataKeys, view: PrivacyView, marks: ReadonlyMap<string, Marks>) {
    this.#realm = realm;
    this.#keys = keys;
    this.#view = view;
    this.#marks = marks;
  }

  /**
   * The event, or the message before it is signed, with its personal fields sealed. Throws `subject_redacted`,
   * `subject_missing`, `bad_sealed`, `privacy_unavailable`.
   */
  async seal<E extends object>(address: string, event: E): Promise<E> {
    const marks = this.#marks.get(address.slice(0, address.indexOf('/')));
    const plan = marks === undefined ? undefined : planSealing(event, address, marks, this.#realm);
    if (plan === undefined || plan.kind === 'pass') return event;
    if (plan.kind === 'refuse') {
      const { code, message, retryable, help = '' } = plan.error;
      throw new FabricError({ code, retryable, help }, message);
    }
    const known = await this.#keys.ensure(plan.subject);
    if (known.state === 'active') return plan.finish(known).value as E;
    throw new FabricError(privacyErrors.subject_redacted, `The data of ${plan.subject} was redacted`);
  }

  /** A reply with every sealed value opened; `«redacted»` where its key was destroyed. */
  open<T>(value: T): Promise<T> {
    return this.#view.show(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keys[Symbol.asyncDispose]();
  }
}

/**
 * Opens a vault over the connection of a client. Throws `privacy_key_absent`, `privacy_key_mismatch`.
 *
 * @example
 * await using vault = await openVault(client.connection, { realm: 'shop', dataDir, kinds: { person: { fields: ['/name'] } } });
 * await client.send('person/1', await vault.seal('person/1', { type: 'register', name: 'Jane' }));
 */
export async function openVault(connection: NatsConnection, options: VaultOptions): Promise<Vault> {
  const { realm, prefix = 'if', dataDir, kinds } = options;
  const privacyKey = await readPrivacyKey(dataDir);
  if (privacyKey === undefined) {
    throw new FabricError(privacyErrors.privacy_key_absent, `There is no privacy key in ${dataDir}`);
  }
  const rows = await natsKeyRows(connection, new Subjects(prefix, 1).buckets.privacy);
  const keys = await DataKeys.open({ rows, realm, privacyKey, now: Date.now });
  const marks = new Map<string, Marks>();
  for (const [type, { schemas, ...config }] of Object.entries(kinds)) {
    const rules = rulesOf(personalSchema.parse(config), schemas);
    if (rules !== undefined) marks.set(type, new Marks(rules));
  }
  const stateOf = (subject: string) => keys.stateOf(subject);
  return new Vault(realm, keys, privacyView({ realm, stateOf, privacyKey }), marks);
}
