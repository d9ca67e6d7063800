/** `keys list`, `keys show`: public halves only. */
import { Command } from 'commander';
import { type StoredKey, storedKeys } from '#runtime/keys/key-store';
import { userNkey } from '#runtime/keys/nkey';
import { successorsOf } from '#runtime/keys/realm-history';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { formatVerifierKey, verifierKey } from '#runtime/witness/note';
import { natsWitnessStore } from '#runtime/witness/service/state-store';
import { FabricError } from '#schemas/fabric-error';
import { type KeyringContext, type RingKey, type Role, roleOf } from '#schemas/keyring';
import { handle, type Shell } from '../../command.ts';
import { cliErrors } from '../../errors.ts';
import { EXIT } from '../../exit-codes.ts';
import type { Io } from '../../io.ts';
import { type Choice, locate } from '../../locate.ts';
import { type Realm, withRealm } from '../../realm.ts';
import { keyLines, type ListedKey, listLines } from '../../render/keys.ts';
import { keyFolder, keysNamed, openKeyring } from './place.ts';

export function keysListCommand(shell: Shell): Command {
  const command = new Command('list')
    .description('whose keys count, and which private ones lie here')
    .option('-a, --all', 'rotated and revoked ones too');
  return handle<[], { readonly all?: boolean }>(shell, command, async ({ io, out, options }) => {
    const dataDir = keyFolder(options, io);
    const { ring, isRunning } = await ringOf(options, io);
    const here = await storedKeys(dataDir);
    const all = listed(here, ring);
    const shown = all.filter(
      ({ status }) => options.all === true || (status !== 'rotated' && status !== 'revoked'),
    );
    for (const key of shown) out.data(key);
    out.lines(listLines(shown, all.length - shown.length, isRunning, out));
    return EXIT.ok;
  });
}

export function keysShowCommand(shell: Shell): Command {
  const command = new Command('show')
    .description('the keys of an owner, old ones too; of the realm with their verifier keys')
    .argument('<owner>', '`realm`, an address such as guardian/alice, or a kid');
  return handle<[string], object>(shell, command, ({ io, out, options }, text) =>
    withRealm(options, io, async (realm) => {
      const { ring: client, dataDir } = await openKeyring(realm);
      const ring = await client.read();
      const here = await storedKeys(dataDir);
      const known = keysNamed(text, ring).map((key) => publicView(key, here));
      const local = listed(here, ring).filter(
        ({ kid, owner }) => kid === text || owner === text || roleOf(`${owner}/`) === text,
      );
      const found = known.length > 0 ? known : local;
      if (found.length === 0) throw new FabricError(cliErrors.key_unknown, `Nobody knows a key of ${text}`);
      const origin = found.some(({ role }) => role === 'realm') ? await originOf(realm) : undefined;
      const views = found.map((key) => ({
        ...key,
        ...(origin !== undefined && { verifierKey: verifierText(origin, key.publicKey) }),
        ...(key.role === 'realm' && ring !== undefined && { rotations: rotationsTo(key.kid, ring) }),
      }));
      for (const view of views) out.data(view);
      out.lines(views.flatMap((view) => keyLines(view, realm.now(), out)));
      return EXIT.ok;
    }),
  );
}

/** The keyring where the realm runs; a folder alone has only files. */
async function ringOf(
  options: Choice,
  io: Io,
): Promise<{ ring: KeyringContext | undefined; isRunning: boolean }> {
  try {
    locate(options, io);
  } catch (thrown) {
    if (thrown instanceof FabricError && thrown.code === 'not_running')
      return { ring: undefined, isRunning: false };
    throw thrown;
  }
  return await withRealm(options, io, async (realm) => ({
    ring: await (await openKeyring(realm)).ring.read(),
    isRunning: true,
  }));
}

function listed(here: readonly StoredKey[], ring: KeyringContext | undefined): ListedKey[] {
  const known = Object.values(ring?.keys ?? {}).map((key) => publicView(key, here));
  const unknown = here
    .filter(({ key }) => ring?.keys[key.kid] === undefined)
    .map(({ owner, key }): ListedKey => {
      const role: Role = owner === undefined ? 'realm' : roleOf(owner);
      const publicKey = Buffer.from(key.publicKey).toString('base64url');
      return {
        kid: key.kid,
        owner: owner ?? 'realm',
        role,
        status: 'unregistered',
        publicKey,
        nkey: userNkey(key.publicKey),
        isHere: true,
      };
    });
  return [...known, ...unknown].sort(
    (a, b) => a.owner.localeCompare(b.owner) || (a.since ?? 0) - (b.since ?? 0),
  );
}

function publicView({ order: _, ...key }: RingKey, here: readonly StoredKey[]): ListedKey {
  const nkey = userNkey(Buffer.from(key.publicKey, 'base64url'));
  return { ...key, nkey, isHere: here.some((stored) => stored.key.kid === key.kid) };
}

async function originOf(realm: Realm): Promise<string | undefined> {
  const store = await natsWitnessStore(realm.connection, realm.subjects.buckets.witness);
  return (await store.state()).value?.origin;
}

function verifierText(origin: string, publicKey: string): string {
  const bytes = Buffer.from(publicKey, 'base64url');
  return formatVerifierKey(verifierKey(nodePrimitives.sha256, origin, bytes));
}

/** The signed orders that lead from the first key of the realm to this one: proof for whoever trusts an older one. */
function rotationsTo(kid: string, ring: KeyringContext): unknown[] {
  const first = ring.ring === null ? undefined : ring.keys[ring.ring];
  if (first === undefined) return [];
  const path = successorsOf(Buffer.from(first.publicKey, 'base64url'), ring);
  const at = path.findIndex((key) => key.kid === kid);
  return path.slice(0, at + 1).map(({ order }) => order);
}
