/** The keyring from outside: reading it, and giving it orders that are signed with keys of a data folder. */
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import type { SigningKey } from '#runtime/edge/sign';
import { apiRequest, type KeyringReply, type ShowReply } from '#runtime/node/api';
import { nodeErrors } from '#runtime/node/errors';
import { FabricError } from '#schemas/fabric-error';
import { KEYRING_ACTOR, type KeyringContext, type KeyringOrder, OPERATOR_TYPE } from '#schemas/keyring';
import { keyErrors } from './errors.ts';
import { readKey, storedKeys } from './key-store.ts';
import { publicRecord, signOrder } from './order.ts';

/** Others may give orders at the same time: each makes ours one to sign again. */
const ATTEMPTS_MAX = 8;

export interface KeyringClientOptions {
  readonly nc: NatsConnection;
  /** With the shard count of the realm. */
  readonly subjects: Subjects;
  /** Name of the realm. */
  readonly realm: string;
  readonly dataDir: string;
}

/** What an order says besides its place among the orders. */
export type OrderBody = KeyringOrder extends infer O
  ? O extends { op: Exclude<KeyringOrder['op'], 'found'> }
    ? Omit<O, 'realm' | 'ring' | 'seq' | 'by'>
    : never
  : never;

export class KeyringClient {
  readonly #options: KeyringClientOptions;

  constructor(options: KeyringClientOptions) {
    this.#options = options;
  }

  /** The keyring; undefined where it is not founded yet. */
  async read(): Promise<KeyringContext | undefined> {
    try {
      const { context } = await this.#request<ShowReply>('show', { address: KEYRING_ACTOR });
      const ring = context as KeyringContext;
      return ring.ring === null ? undefined : ring;
    } catch (thrown) {
      if (thrown instanceof FabricError && thrown.code === nodeErrors.actor_absent.code) return undefined;
      throw thrown;
    }
  }

  /**
   * Gives an order by `by`, signed with the others too; founds the keyring first where there is none. Throws
   * `key_file_absent` where it would have to be founded and the realm's key is not here, and what it is refused with.
   */
  async order(body: OrderBody, by: SigningKey, others: readonly SigningKey[] = []): Promise<KeyringReply> {
    for (let attempt = 1; ; attempt += 1) {
      const { realm, ring, seq } = (await this.read()) ?? (await this.#found());
      if (realm === null || ring === null) throw new Error('invariant: a keyring that is read is founded');
      const order = { ...body, realm, ring, seq: seq + 1, by: by.kid } as KeyringOrder;
      try {
        return await this.#request<KeyringReply>('keyring', signOrder(order, [by, ...others]));
      } catch (thrown) {
        if (attempt >= ATTEMPTS_MAX || !isMoved(thrown)) throw thrown;
      }
    }
  }

  /**
   * The key of the data folder that may register and revoke: of the owner named, else the realm's, else an operator's.
   * Throws `key_file_absent`.
   */
  async authority(named?: string): Promise<SigningKey> {
    const { dataDir, realm } = this.#options;
    const own = await readKey(dataDir, named ?? `realm/${realm}`);
    if (own !== undefined) return own;
    if (named !== undefined) {
      throw new FabricError(keyErrors.key_file_absent, `The key of ${named} is not in ${dataDir}`, {
        details: { dataDir },
      });
    }
    const isActive = await this.#activeKids();
    const keys = await storedKeys(dataDir);
    const operator = keys.find(
      ({ owner, key }) => owner?.startsWith(`${OPERATOR_TYPE}/`) && isActive.has(key.kid),
    );
    if (operator !== undefined) return operator.key;
    throw new FabricError(
      keyErrors.key_file_absent,
      `Neither the key of the realm nor an operator's is in ${dataDir}`,
      {
        details: { dataDir },
      },
    );
  }

  async #activeKids(): Promise<ReadonlySet<string>> {
    const ring = await this.read();
    const keys = Object.values(ring?.keys ?? {});
    return new Set(keys.filter(({ status }) => status === 'active').map(({ kid }) => kid));
  }

  async #found(): Promise<KeyringContext> {
    const { dataDir, realm } = this.#options;
    const owner = `realm/${realm}`;
    const key = await readKey(dataDir, owner);
    if (key === undefined) {
      throw new FabricError(keyErrors.key_file_absent, `The key of the realm is not in ${dataDir}`, {
        details: { dataDir },
      });
    }
    const nodes = (await storedKeys(dataDir)).filter(({ owner: of }) => of?.startsWith('node/'));
    const records = nodes.map((node) => publicRecord(node.key, node.owner ?? ''));
    const order: KeyringOrder = {
      op: 'found',
      realm,
      ring: key.kid,
      seq: 1,
      by: key.kid,
      keys: [publicRecord(key, owner), ...records],
    };
    try {
      await this.#request('keyring', signOrder(order, [key, ...nodes.map((node) => node.key)]));
    } catch (thrown) {
      // Somebody else did it meanwhile.
      if (!isMoved(thrown)) throw thrown;
    }
    const ring = await this.read();
    if (ring === undefined) throw new FabricError(nodeErrors.actor_absent, 'The keyring was not founded');
    return ring;
  }

  async #request<T>(verb: string, body: unknown): Promise<T> {
    const { nc, subjects } = this.#options;
    return await apiRequest<T>(nc, subjects.api(`shard.${subjects.shardOf(KEYRING_ACTOR)}.${verb}`), body);
  }
}

function isMoved(thrown: unknown): boolean {
  return thrown instanceof FabricError && thrown.code === 'keyring_moved';
}
