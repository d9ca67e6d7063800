/** `keys new`, `keys rotate`, `keys revoke`: each a signed order to the keyring, and so an entry of the log. */
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { kidOf, type SigningKey } from '#runtime/edge/sign';
import { keyErrors } from '#runtime/keys/errors';
import { keyName, makeKey, nextKey, readKey, seedFile, settleRotation } from '#runtime/keys/key-store';
import { publicKeyOfNkey, userNkey } from '#runtime/keys/nkey';
import { publicRecord } from '#runtime/keys/order';
import type { KeyringReply } from '#runtime/node/api';
import { parseAddress } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { handle, moment, type Shell } from '../../command.ts';
import { cliErrors } from '../../errors.ts';
import { EXIT, type ExitCode, Refused } from '../../exit-codes.ts';
import type { Io, Out } from '../../io.ts';
import { withRealm } from '../../realm.ts';
import { keyFolder, keysNamed, knownToNodes, openKeyring, ownerNamed } from './place.ts';

interface Authority {
  readonly as?: string;
}

const AS = ['--as <owner>', 'sign with the key of this operator; the key of the realm where absent'] as const;

export function keysNewCommand(shell: Shell): Command {
  const command = new Command('new')
    .description('make a key for an owner and register it; or register one whose private half is elsewhere')
    .argument('<owner>', 'node/…, guardian/…, operator/…, or the address of an agent')
    .option('--public <nkey>', 'its public key, U…: the private half stays where it is')
    .option('--offline', 'only make the file; it counts once the realm has registered its public key')
    .option(...AS);
  interface Options extends Authority {
    readonly public?: string;
    readonly offline?: boolean;
  }
  return handle<[string], Options>(shell, command, async ({ io, out, options }, text) => {
    const { address: owner } = parseAddress(text);
    if (options.offline === true) {
      const dataDir = keyFolder(options, io);
      const key = await makeKey(dataDir, owner);
      return told(out, { owner, key, file: seedFile(dataDir, keyName(owner)), what: 'made, not registered' });
    }
    return await withRealm(options, io, async (realm) => {
      const { ring, dataDir } = await openKeyring(realm);
      const by = await ring.authority(options.as);
      const given = options.public === undefined ? undefined : publicKeyOfNkey(options.public);
      const own =
        given === undefined
          ? ((await unregistered(dataDir, owner, await ring.read())) ?? (await makeKey(dataDir, owner)))
          : undefined;
      const key = own ?? { kid: kidOf(given ?? new Uint8Array()), publicKey: given ?? new Uint8Array() };
      const order = { op: 'register', key: publicRecord(key, owner) } as const;
      const reply = await refusing(ring.order(order, by, own === undefined ? [] : [own]));
      const isKnown = await knownToNodes(realm, [key.kid]);
      const file = own === undefined ? undefined : seedFile(dataDir, keyName(owner));
      return told(out, {
        owner,
        key,
        reply,
        isKnown,
        what: 'registered',
        ...(file !== undefined && { file }),
      });
    });
  });
}

export function keysRotateCommand(shell: Shell): Command {
  const command = new Command('rotate')
    .description('put a new key in the place of one that lies here; the old one is gone afterwards')
    .argument('<owner>', '`realm`, or the owner');
  return handle<[string], object>(shell, command, ({ io, out, options }, text) =>
    withRealm(options, io, async (realm) => {
      const { ring, name, dataDir } = await openKeyring(realm);
      const owner = ownerNamed(text, name);
      // One that a crash left half-way is ended first.
      const active = new Set(
        keysNamed(owner, await ring.read())
          .filter(({ status }) => status === 'active')
          .map(({ kid }) => kid),
      );
      await settleRotation(dataDir, keyName(owner), (kid) => active.has(kid));
      const old = await readKey(dataDir, owner);
      if (old === undefined) {
        throw new FabricError(keyErrors.key_file_absent, `The key of ${owner} is not in ${dataDir}`, {
          details: { dataDir },
        });
      }
      const next = await nextKey(dataDir, owner);
      const order = { op: 'rotate', key: publicRecord(next, owner) } as const;
      const reply = await refusing(ring.order(order, old, [next]));
      await settleRotation(dataDir, keyName(owner), (kid) => kid === next.kid);
      const isKnown = await knownToNodes(realm, [old.kid, next.kid]);
      const file = seedFile(dataDir, keyName(owner));
      return told(out, { owner, key: next, reply, isKnown, file, replaced: old.kid, what: 'rotated' });
    }),
  );
}

export function keysRevokeCommand(shell: Shell): Command {
  interface Options extends Authority {
    readonly reason?: string;
    readonly from?: number;
    readonly yes?: boolean;
  }
  const command = new Command('revoke')
    .description('end a key for ever: nothing that it signs is taken any more')
    .argument('<key>', 'its owner, or its kid')
    .option('--reason <text>', 'why; it is kept in the log')
    .option(
      '--from <time>',
      'since when it is not to be trusted, such as 2h (ago); now when absent',
      moment(Date.now),
    )
    .option('-y, --yes', 'without a question')
    .option(...AS);
  return handle<[string], Options>(shell, command, ({ io, out, options }, text) => {
    const { reason } = options;
    if (reason === undefined || reason.trim() === '') {
      throw new FabricError(cliErrors.usage, 'Say why with --reason "…": it is kept in the log');
    }
    return withRealm(options, io, async (realm) => {
      const { ring } = await openKeyring(realm);
      const named = keysNamed(text, await ring.read());
      const found = named.find(({ status, kid }) => status === 'active' || kid === text) ?? named[0];
      if (found === undefined)
        throw new FabricError(cliErrors.key_unknown, `The realm has no key of ${text}`);
      if (options.yes !== true) await confirm(found.owner, found.kid, io, out);
      const from = options.from ?? realm.now();
      const order = { op: 'revoke', kid: found.kid, reason, from } as const;
      const reply = await refusing(ring.order(order, await ring.authority(options.as)));
      const isKnown = await knownToNodes(realm, [found.kid]);
      const publicKey = Buffer.from(found.publicKey, 'base64url');
      return told(out, {
        owner: found.owner,
        key: { kid: found.kid, publicKey },
        reply,
        isKnown,
        what: 'revoked',
      });
    });
  });
}

/** A key file that the realm does not know yet: made offline, or by an order that failed. */
async function unregistered(
  dataDir: string,
  owner: string,
  ring: Awaited<ReturnType<Awaited<ReturnType<typeof openKeyring>>['ring']['read']>>,
): Promise<SigningKey | undefined> {
  const key = await readKey(dataDir, owner);
  return key !== undefined && ring?.keys[key.kid] === undefined ? key : undefined;
}

interface Told {
  readonly owner: string;
  readonly key: Pick<SigningKey, 'kid' | 'publicKey'>;
  readonly what: string;
  readonly file?: string;
  readonly reply?: KeyringReply;
  readonly isKnown?: boolean;
  readonly replaced?: string;
}

function told(out: Out, { owner, key, what, file, reply, isKnown, replaced }: Told): ExitCode {
  const nkey = userNkey(key.publicKey);
  const { kid } = key;
  out.data({
    ok: true,
    owner,
    kid,
    nkey,
    what,
    ...(file !== undefined && { file }),
    ...(replaced !== undefined && { replaced }),
    ...(reply !== undefined && { commit: reply.commit, known: isKnown }),
  });
  const { good, name, faint, warn } = out.palette;
  const place = reply === undefined ? '' : `  ${faint(`entry ${reply.commit.shard}.${reply.commit.index}`)}`;
  out.lines([
    `${good('✓')} the key of ${name(owner)} is ${what}${place}`,
    `  kid   ${kid}`,
    `  nkey  ${nkey}`,
    ...(file === undefined ? [] : [`  file  ${file}`]),
    ...(isKnown === false
      ? [warn('  Not every node has said that it knows; `infrafabric ps` shows which answer.')]
      : []),
  ]);
  return EXIT.ok;
}

async function confirm(owner: string, kid: string, io: Io, out: Out): Promise<void> {
  const refused = new FabricError(cliErrors.unconfirmed, 'Nothing was revoked: it was not confirmed');
  if (io.stdin.isTTY !== true || out.json) throw refused;
  const asked = createInterface({ input: io.stdin, output: io.stderr });
  try {
    const answer = await asked.question(
      `This ends the key ${kid} of ${owner}, for ever. Type the owner to go on: `,
      { signal: io.signal },
    );
    if (answer.trim() !== owner) throw refused;
  } finally {
    asked.close();
  }
}

/** What the keyring refuses ends with an exit code of its own. */
async function refusing<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (thrown) {
    const isRefusal = thrown instanceof FabricError && /^(?:keyring_|order_)/.test(thrown.code);
    throw isRefusal ? new Refused(thrown) : thrown;
  }
}
