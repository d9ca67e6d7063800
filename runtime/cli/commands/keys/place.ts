/** Where keys lie, and the keyring of the realm that runs there. */

import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Kvm } from '@nats-io/kv';
import { Subjects } from '#runtime/bus/subjects';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from '#runtime/bus/tidy-jetstream';
import { KeyRegistry } from '#runtime/edge/keys';
import { natsKeyStore } from '#runtime/edge/nats-keys';
import { KeyringClient } from '#runtime/keys/client';
import { nodeErrors } from '#runtime/node/errors';
import { FabricError } from '#schemas/fabric-error';
import { KEYRING_ACTOR, type KeyringContext, type RingKey } from '#schemas/keyring';
import { cliErrors } from '../../errors.ts';
import { Refused } from '../../exit-codes.ts';
import type { Io } from '../../io.ts';
import { type Choice, DATA_ROOT, findConfig, locate, peekConfig } from '../../locate.ts';
import type { Realm } from '../../realm.ts';

/** A node writes and hears of a change within milliseconds. */
const KNOWN_TIMEOUT_MS = 5_000;
const LOOK_EVERY_MS = 20;

/** The data folder that is meant, whether its realm runs or not. Throws `no_key_folder`, `ambiguous_realm`. */
export function keyFolder(choice: Choice, io: Io): string {
  if (choice.data !== undefined) return resolve(io.cwd, choice.data);
  const wanted = io.env['INFRAFABRIC_DATA'];
  if (choice.config === undefined && wanted !== undefined && wanted !== '') return resolve(io.cwd, wanted);
  const config = choice.config ?? findConfig(io.cwd);
  if (config !== undefined) return peekConfig(resolve(io.cwd, config), io.env).dataDir;
  const [only, ...others] = foldersWithKeys(join(io.cwd, DATA_ROOT));
  if (only !== undefined && others.length === 0) return only;
  const { dataDir } = locate(choice, io);
  if (dataDir !== undefined) return dataDir;
  throw new FabricError(cliErrors.no_key_folder, 'There is no data folder to keep keys in');
}

/** The keyring of a running realm, and what signs orders to it. Throws `no_key_folder`. */
export async function openKeyring(
  realm: Realm,
): Promise<{ ring: KeyringClient; name: string; dataDir: string }> {
  const { dataDir } = realm.target;
  if (dataDir === undefined)
    throw new FabricError(cliErrors.no_key_folder, 'There is no data folder with keys');
  const statuses = await realm.statuses();
  const name = realm.target.realm ?? statuses[0]?.realm ?? '';
  const shards = Math.max(1, ...statuses.map(({ shardCount = 1 }) => shardCount));
  const subjects = new Subjects(realm.target.prefix, shards);
  return { ring: new KeyringClient({ nc: realm.connection, subjects, realm: name, dataDir }), name, dataDir };
}

/** The keyring, for whoever only looks; undefined where it is not founded yet. */
export async function readKeyring(realm: Realm): Promise<KeyringContext | undefined> {
  try {
    return (await realm.show(KEYRING_ACTOR)).context as KeyringContext;
  } catch (thrown) {
    const error = thrown instanceof Refused ? thrown.error : thrown;
    if (error instanceof FabricError && error.code === nodeErrors.actor_absent.code) return undefined;
    throw thrown;
  }
}

/** `realm` is the realm itself. */
export function ownerNamed(text: string, realm: string): string {
  return text === 'realm' ? `realm/${realm}` : text.replace(/^if:\/\//, '');
}

/** The keys of an owner, or the one of a kid; the newest first. */
export function keysNamed(text: string, ring: KeyringContext | undefined): RingKey[] {
  const owner = ownerNamed(text, ring?.realm ?? '');
  return Object.values(ring?.keys ?? {})
    .filter((key) => key.kid === text || key.owner === owner)
    .sort((a, b) => Number(b.status === 'active') - Number(a.status === 'active') || b.since - a.since);
}

/** True once every node takes a key, or takes it no more; false where one has not said so in time. */
export async function knownToNodes(realm: Realm, kids: readonly string[]): Promise<boolean> {
  const bucket = await new Kvm(tidyJetStream(realm.connection, { timeout: JETSTREAM_TIMEOUT_MS })).open(
    realm.subjects.buckets.keys,
  );
  const { ring } = await openKeyring(realm);
  const wanted = (await ring.read())?.keys ?? {};
  await using registry = await KeyRegistry.open(natsKeyStore(bucket));
  const isWritten = (): boolean =>
    kids.every(
      (kid) => registry.keyOf(kid)?.status === (wanted[kid]?.status === 'active' ? 'active' : 'revoked'),
    );
  for (const deadline = Date.now() + KNOWN_TIMEOUT_MS; Date.now() < deadline; await pause(LOOK_EVERY_MS)) {
    if (!isWritten()) continue;
    const all = registry.list();
    const revoked = all.filter(({ status }) => status === 'revoked').length;
    const nodes = await realm.statuses();
    const isHeard = nodes.every(
      ({ keys = all.length, keysRevoked = revoked }) => keys >= all.length && keysRevoked >= revoked,
    );
    if (isHeard) return true;
  }
  return false;
}

function foldersWithKeys(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, entry.name, 'keys')))
    .map(({ name }) => join(root, name));
}
