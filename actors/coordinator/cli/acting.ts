/** A realm in somebody's name: what commands of the coordinator open that are not one question and its answer. */
import { userInfo } from 'node:os';
import { InvalidArgumentError } from 'commander';
import type { Io } from '#runtime/cli/io';
import { type Choice, locate } from '#runtime/cli/locate';
import { openRealm } from '#runtime/cli/nats-realm';
import type { Realm } from '#runtime/cli/realm';
import { Client } from '#runtime/client/client';
import { isActorId, parseAddress } from '#schemas/address';

export interface Acting extends AsyncDisposable {
  readonly realm: Realm;
  readonly client: Client;
}

/** `stays`: it connects again for as long as the process lives. */
export async function actAs(from: string, choice: Choice, io: Io, stays = false): Promise<Acting> {
  const target = locate(choice, io);
  const realm = await openRealm(target, io.env, stays);
  // Over the same connection, in another name.
  const client = new Client(realm.connection, { prefix: target.prefix, from });
  await client.learnShards();
  return { realm, client, [Symbol.asyncDispose]: () => client.close() };
}

/** The person at the keyboard. */
export function operator(): string {
  const { username } = userInfo();
  return `operator/${isActorId(username) ? username : 'you'}`;
}

/** Option parser: an address. */
export function addressOption(text: string): string {
  try {
    return parseAddress(text).address;
  } catch {
    throw new InvalidArgumentError('Expected an address such as session/ndi.');
  }
}
