/**
 * Keeps the accounts of a server in step with the keyring, on the node that runs the server or writes its config.
 *
 * C1  Who may sign on: the keys that the registry holds active, and those whose private half lies in this data folder
 *     and that were not ended: whoever can write there owns the server.
 * C2  A key that is revoked is out of the accounts at once; the server then ends its connections.
 * C3  What counted last is known at the next start, before anybody could say so: no agent is refused meanwhile.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writePrivateFile } from '#runtime/bus/file';
import type { KeyRegistry } from '#runtime/edge/keys';
import { storedKeys } from '#runtime/keys/key-store';
import type { Logger } from '#runtime/shard/ports';
import { accountsText } from './accounts.ts';
import { type Grants, type OwnedKey, usersOf } from './users.ts';

const KNOWN_FILE = 'access.json';

const knownSchema = z.array(
  z.strictObject({ owner: z.string(), publicKey: z.string(), isRevoked: z.boolean() }),
);
type Known = z.infer<typeof knownSchema>;

export class AccessKeeper {
  readonly #dataDir: string;
  readonly #logger: Logger;
  #grants: Grants;
  readonly #local: readonly OwnedKey[];
  #known: Known;
  #text = '';
  #apply: (accounts: string) => void = () => {};

  private constructor(dataDir: string, grants: Grants, local: readonly OwnedKey[], logger: Logger) {
    this.#dataDir = dataDir;
    this.#grants = grants;
    this.#local = local;
    this.#logger = logger;
    this.#known = readKnown(join(dataDir, KNOWN_FILE));
    this.#text = this.#make();
  }

  /** With the keys of the data folder, and what counted when a keeper last wrote there (C3). */
  static async open(dataDir: string, grants: Grants, logger: Logger): Promise<AccessKeeper> {
    return new AccessKeeper(dataDir, grants, await localKeys(dataDir), logger);
  }

  /** The accounts as they are to be now. */
  get accounts(): string {
    return this.#text;
  }

  /** Calls `apply` with the accounts whenever they change, from what the registry holds now. */
  follow(registry: Pick<KeyRegistry, 'list' | 'onChange'>, apply: (accounts: string) => void): void {
    this.#apply = apply;
    let isDue = false;
    const sync = (): void => {
      isDue = false;
      this.#known = registry.list().map(({ owner, publicKey, status }) => ({
        owner,
        publicKey,
        isRevoked: status === 'revoked',
      }));
      writePrivateFile(join(this.#dataDir, KNOWN_FILE), `${JSON.stringify(this.#known)}\n`);
      this.#put();
    };
    registry.onChange(() => {
      if (isDue) return;
      isDue = true;
      // A start brings many at once.
      setImmediate(sync);
    });
    sync();
  }

  /** Other rules or kinds. */
  use(grants: Pick<Grants, 'rules' | 'kinds'>): void {
    this.#grants = { ...this.#grants, ...grants };
    this.#put();
  }

  #put(): void {
    const text = this.#make();
    if (text === this.#text) return;
    this.#text = text;
    this.#apply(text);
    this.#logger.info({ users: text.split('nkey: ').length - 1 }, 'access_changed');
  }

  #make(): string {
    const keys = counting(this.#known, this.#local);
    return accountsText(usersOf(keys, this.#grants), this.#grants.subjects);
  }
}

/** Everybody who may sign on, as a data folder alone tells it. */
export async function usersHere(dataDir: string, grants: Grants): Promise<ReturnType<typeof usersOf>> {
  return usersOf(counting(readKnown(join(dataDir, KNOWN_FILE)), await localKeys(dataDir)), grants);
}

/** C1, C2: registered ones first, since the registry knows best whose a key is. */
function counting(known: Known, local: readonly OwnedKey[]): OwnedKey[] {
  const ended = new Set(known.filter(({ isRevoked }) => isRevoked).map(({ publicKey }) => publicKey));
  const registered = known.map(({ owner, publicKey }) => ({
    owner,
    publicKey: Buffer.from(publicKey, 'base64url'),
  }));
  return [...registered, ...local].filter(
    ({ publicKey }) => !ended.has(Buffer.from(publicKey).toString('base64url')),
  );
}

async function localKeys(dataDir: string): Promise<OwnedKey[]> {
  return (await storedKeys(dataDir)).flatMap(({ owner, key }) =>
    owner === undefined ? [] : [{ owner, publicKey: key.publicKey }],
  );
}

function readKnown(file: string): Known {
  return existsSync(file) ? knownSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) : [];
}
