/** The keyring as a node has it: the door for orders to its actor, and the registry that follows it. */
import type { KeyRegistry } from '#runtime/edge/keys';
import { fromWireError, type KeyringReply } from '#runtime/node/api';
import { nodeErrors } from '#runtime/node/errors';
import type { Logger } from '#runtime/shard/ports';
import type { Shard } from '#runtime/shard/shard';
import { FabricError, toWireError } from '#schemas/fabric-error';
import {
  KEYRING_ACTOR,
  KEYRING_MACHINE,
  type KeyringContext,
  type SignedOrder,
  signedOrderSchema,
} from '#schemas/keyring';
import { rebuildRegistry } from './driver.ts';
import { keyErrors } from './errors.ts';
import { checkOrder } from './order.ts';

export interface KeyringOptions {
  /** Shard in which the keyring lives. */
  readonly home: number;
  readonly registry: () => Pick<KeyRegistry, 'add' | 'revoke'>;
  /** The key that signs the realm's checkpoints, 32 bytes: who may found the keyring. Undefined where it is not known. */
  readonly realmKey: () => Promise<Uint8Array | undefined>;
  readonly logger: Logger;
}

const EMPTY: KeyringContext = { realm: null, ring: null, seq: 0, keys: {} };

export class Keyring {
  readonly #options: KeyringOptions;

  constructor(options: KeyringOptions) {
    this.#options = options;
  }

  /** Called with the shard when it begins to run here: what the registry missed is written now. */
  shardChanged(shard: number, running: Shard | undefined): void {
    if (shard !== this.#options.home || running === undefined) return;
    this.#follow(running).catch((thrown: unknown) => {
      // Every order still writes what it changes.
      this.#options.logger.error({ error: toWireError(thrown) }, 'key_registry_not_rebuilt');
    });
  }

  /**
   * Takes an order; it is an entry of the log when this resolves. Throws `order_forged`, `keyring_founder_unknown`,
   * `api_bad_request`, and what the keyring refuses it with.
   */
  async order(shard: Shard, request: unknown): Promise<KeyringReply> {
    const { success, data, error } = signedOrderSchema.safeParse(request);
    if (!success) {
      const [issue] = error.issues;
      const path = issue?.path.map(String).join('.') ?? '';
      throw new FabricError(
        nodeErrors.api_bad_request,
        `The order is not valid: ${path} ${issue?.message ?? ''}`,
      );
    }
    if (shard.shard !== this.#options.home) {
      throw new FabricError(nodeErrors.api_bad_request, `The keyring does not live in shard ${shard.shard}`);
    }
    await this.#check(shard, data);
    const outcome = await shard.admin({
      cause: { kind: 'admin', by: data.order.by },
      actor: KEYRING_ACTOR,
      op: 'event',
      event: { type: 'keyring.order', ...data },
      machine: KEYRING_MACHINE,
    });
    if (!outcome.ok) throw fromWireError(outcome.error);
    const { entry, index } = outcome;
    if (entry.op === 'dead' && entry.error !== undefined) throw fromWireError(entry.error);
    return { seq: data.order.seq, commit: { shard: shard.shard, index } };
  }

  async #check(shard: Shard, signed: SignedOrder): Promise<void> {
    try {
      checkOrder(signed, (await contextOf(shard)).keys);
    } catch (thrown) {
      // Nobody is known to have said it: it is no entry, but it is not silent.
      this.#options.logger.warn({ op: signed.order.op, by: signed.order.by }, 'key_order_refused');
      throw thrown;
    }
    if (signed.order.op !== 'found') return;
    const own = await this.#options.realmKey();
    const [first] = signed.order.keys;
    if (own !== undefined && first?.publicKey === Buffer.from(own).toString('base64url')) return;
    throw new FabricError(
      keyErrors.keyring_founder_unknown,
      'The keyring is founded with another key than the one that signs the checkpoints of this realm',
    );
  }

  async #follow(shard: Shard): Promise<void> {
    await rebuildRegistry(this.#options.registry(), await contextOf(shard));
  }
}

async function contextOf(shard: Shard): Promise<KeyringContext> {
  const cell = await shard.look(KEYRING_ACTOR);
  return cell === undefined ? EMPTY : (cell.state.context as KeyringContext);
}
