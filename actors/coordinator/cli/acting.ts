/** In whose name a command acts, and a realm in that name, for commands that are not one question and its answer. */
import { userInfo } from 'node:os';
import { InvalidArgumentError } from 'commander';
import type { Io } from '#runtime/cli/io';
import { type Choice, locate } from '#runtime/cli/locate';
import { openRealm } from '#runtime/cli/nats-realm';
import type { Realm } from '#runtime/cli/realm';
import { Client } from '#runtime/client/client';
import { isActorId, isActorType, parseAddress } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { NODE_TYPE, OPERATOR_TYPE } from '#schemas/keyring';
import { coordinatorErrors } from '../errors.ts';

export interface Acting extends AsyncDisposable {
  readonly realm: Realm;
  readonly client: Client;
  /** Address of who acts. */
  readonly as: string;
}

/** `from`: see {@link actorOf}. `stays`: it connects again for as long as the process lives. */
export async function actAs(
  from: string | undefined,
  choice: Choice,
  io: Io,
  stays = false,
): Promise<Acting> {
  const target = locate(choice, io);
  const realm = await openRealm(target, io.env, stays);
  try {
    const as = actorOf(from, realm.owner);
    // Over the same connection, in another name.
    const client = new Client(realm.connection, { prefix: target.prefix, from: as });
    await client.learnShards();
    return { realm, client, as, [Symbol.asyncDispose]: () => client.close() };
  } catch (thrown) {
    await realm[Symbol.asyncDispose]();
    throw thrown;
  }
}

/**
 * Who acts: `cli` is `session/cli`. By default whose key signed on, or the person at the keyboard. Throws `bad_actor`.
 */
export function actorOf(from: string | undefined, owner: string | undefined): string {
  const byDefault =
    owner === undefined || owner.startsWith(`${NODE_TYPE}/`) ? `${OPERATOR_TYPE}/${userName()}` : owner;
  const address =
    from === undefined || from === '' ? byDefault : from.includes('/') ? from : `session/${from}`;
  const slash = address.indexOf('/');
  if (!isActorType(address.slice(0, slash)) || !isActorId(address.slice(slash + 1)))
    throw new FabricError(coordinatorErrors.bad_actor, `"${from ?? address}" cannot act`);
  // The realm believes the key: with another name a command would look for what is not its own.
  if (isBound(owner) && address !== owner)
    throw new FabricError(
      coordinatorErrors.bad_actor,
      `The key is that of ${owner}: it cannot act as ${address}`,
    );
  return address;
}

/** True for keys that speak for their owner alone, and see what is theirs. */
export function isBound(owner: string | undefined): owner is string {
  return owner !== undefined && ![OPERATOR_TYPE, NODE_TYPE].includes(owner.slice(0, owner.indexOf('/')));
}

/** Option parser: an address. */
export function addressOption(text: string): string {
  try {
    return parseAddress(text).address;
  } catch {
    throw new InvalidArgumentError('Expected an address such as session/ndi.');
  }
}

function userName(): string {
  const name = userInfo().username.replaceAll(/[^A-Za-z0-9._-]/g, '-');
  return /^[A-Za-z0-9]/.test(name) ? name : 'operator';
}
