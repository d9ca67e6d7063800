/** The keys of a node and of its realm: made where they are missing, and which of them signs checkpoints now. */
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import type { KeyRegistry } from '#runtime/edge/keys';
import { ensureNodeKey, REALM_KEY_NAME, readKey, settleRotation, signedFile } from '#runtime/keys/key-store';
import { successorsOf } from '#runtime/keys/realm-history';
import { openRealmKey } from '#runtime/keys/realm-key';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { formatVerifierKey, parseVerifierKey, verifierKey } from '#runtime/witness/note';
import { witnessServiceErrors } from '#runtime/witness/service/errors';
import { type SignedRecord, signedRecordFile } from '#runtime/witness/service/signed-record';
import { openRealmSigner, type RealmSigner } from '#runtime/witness/service/signer';
import { natsWitnessStore } from '#runtime/witness/service/state-store';
import { FabricError } from '#schemas/fabric-error';
import { KEYRING_ACTOR, type KeyringContext } from '#schemas/keyring';
import { apiRequest, type ShowReply } from './api.ts';

export interface OwnKeysOptions {
  readonly dataDir: string;
  readonly realm: string;
  readonly origin: string;
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly registry: Pick<KeyRegistry, 'keyOf'>;
}

export class OwnKeys {
  /** What the realm's key signed, as far as this node knows. */
  readonly record: SignedRecord;
  readonly #options: OwnKeysOptions;
  #signerKid: string | undefined;

  constructor(options: OwnKeysOptions) {
    this.#options = options;
    this.record = signedRecordFile(signedFile(options.dataDir));
  }

  /**
   * Makes the key of this node, and that of the realm where nothing was signed with one yet and `mayMakeRealmKey`.
   * Throws `key_file_open`, `key_file_bad`, `key_file_failed`.
   */
  async ensure(mayMakeRealmKey: boolean): Promise<void> {
    const { dataDir } = this.#options;
    await ensureNodeKey(dataDir);
    if (mayMakeRealmKey && (await this.#signedKey()) === undefined) await openRealmKey(dataDir);
  }

  /** The key of the realm: the one that signs its checkpoints, or will. Undefined where it is not known here. */
  async realmKey(): Promise<Uint8Array | undefined> {
    const signed = await this.#signedKey();
    if (signed !== undefined) return parseVerifierKey(nodePrimitives.sha256, signed)?.publicKey;
    return (await readKey(this.#options.dataDir, `realm/${this.#options.realm}`))?.publicKey;
  }

  /** The signer of checkpoints. Throws `witness_key_foreign` where the key is not here, or was rotated away. */
  async signer(mayMake: boolean): Promise<RealmSigner> {
    const { dataDir, origin, registry } = this.#options;
    await settleRotation(dataDir, REALM_KEY_NAME, (kid) => registry.keyOf(kid)?.status === 'active');
    const signer = await openRealmSigner(dataDir, origin, mayMake);
    this.#signerKid = signer.kid;
    if (registry.keyOf(signer.kid)?.status !== 'revoked') return signer;
    throw new FabricError(
      witnessServiceErrors.witness_key_foreign,
      'The key of the realm was rotated, and the data folder of this node holds the old one',
    );
  }

  /** Verifier key of the realm's key that lies here, be it the one that signs now or not; undefined where none does. */
  async verifierKey(): Promise<string | undefined> {
    const { dataDir, realm, origin } = this.#options;
    const key = await readKey(dataDir, `realm/${realm}`);
    if (key === undefined) return undefined;
    return formatVerifierKey(verifierKey(nodePrimitives.sha256, origin, key.publicKey));
  }

  /** Whether this key is the one that signs checkpoints here. */
  isSigner(kid: string): boolean {
    return kid === this.#signerKid;
  }

  /** Whether the realm put one key in the place of another, by the signatures of both; verifier keys. */
  async isSuccessor(signed: string, key: string): Promise<boolean> {
    const [old, now] = [signed, key].map((text) => parseVerifierKey(nodePrimitives.sha256, text));
    if (old === undefined || now === undefined) return false;
    const wanted = Buffer.from(now.publicKey).toString('base64url');
    const { nc, subjects } = this.#options;
    const show = subjects.api(`shard.${subjects.shardOf(KEYRING_ACTOR)}.show`);
    const { context } = await apiRequest<ShowReply>(nc, show, { address: KEYRING_ACTOR });
    return successorsOf(old.publicKey, context as KeyringContext).some(
      ({ publicKey }) => publicKey === wanted,
    );
  }

  async #signedKey(): Promise<string | undefined> {
    const { nc, subjects } = this.#options;
    const store = await natsWitnessStore(nc, subjects.buckets.witness);
    return (await store.state()).value?.key;
  }
}
