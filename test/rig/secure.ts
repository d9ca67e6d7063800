/** A server with accounts and TLS, and connections that sign on with keys of the test's own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { accountsText } from '#runtime/access/accounts';
import { certifyServer, makeAuthority } from '#runtime/access/certificate';
import { keyedOptions } from '#runtime/access/sign-on';
import { type Grants, usersOf } from '#runtime/access/users';
import { EmbeddedServer } from '#runtime/bus/server';
import { Subjects } from '#runtime/bus/subjects';
import { newSeed, type SigningKey, signingKey } from '#runtime/edge/sign';
import { locateServer } from '#runtime/node/locate-server';
import { silentLogger } from './nats.ts';

export const SHARDS = 2;

export class SecureServer {
  readonly subjects = new Subjects('if', SHARDS);
  readonly keys: ReadonlyMap<string, SigningKey>;
  readonly ca: string;
  readonly #grants: Grants;
  readonly #server: EmbeddedServer;
  readonly #dataDir: string;
  readonly #connections: NatsConnection[] = [];

  private constructor(
    server: EmbeddedServer,
    dataDir: string,
    ca: string,
    keys: ReadonlyMap<string, SigningKey>,
    grants: Grants,
  ) {
    this.#server = server;
    this.#dataDir = dataDir;
    this.ca = ca;
    this.keys = keys;
    this.#grants = grants;
  }

  /** `owners` may sign on. */
  static async start(
    owners: readonly string[],
    grants: Pick<Grants, 'rules' | 'kinds'>,
  ): Promise<SecureServer> {
    const dataDir = mkdtempSync(join(tmpdir(), 'if-secure-'));
    const authority = makeAuthority('test', Date.now());
    const { cert, key } = certifyServer(authority, 'test', ['127.0.0.1'], Date.now());
    const [certFile, keyFile] = [join(dataDir, 'server.pem'), join(dataDir, 'server.key')];
    writeFileSync(certFile, cert, { mode: 0o600 });
    writeFileSync(keyFile, key, { mode: 0o600 });
    const keys = new Map(owners.map((owner) => [owner, signingKey(newSeed())] as const));
    const all = { ...grants, subjects: new Subjects('if', SHARDS) };
    const server = await EmbeddedServer.start({
      dataDir,
      binary: await locateServer(process.env),
      strict: false,
      secure: { accounts: textOf(keys, all), certFile, keyFile },
      logger: silentLogger,
    });
    return new SecureServer(server, dataDir, authority.cert, keys, all);
  }

  /** Signs on as this owner. */
  async connect(owner: string, more: { readonly inboxPrefix?: string } = {}): Promise<NatsConnection> {
    const key = this.keys.get(owner);
    if (key === undefined) throw new Error(`there is no key of ${owner}`);
    const nc = await connect({
      servers: this.#server.url,
      ...keyedOptions({ url: this.url, key, ca: this.ca }),
      ...more,
      reconnect: false,
    });
    this.#connections.push(nc);
    return nc;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Takes the key of an owner out of the accounts of the server that runs. */
  revoke(owner: string): void {
    const left = new Map([...this.keys].filter(([name]) => name !== owner));
    this.#server.reload(textOf(left, this.#grants));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#connections.map((nc) => nc.close()));
    await this.#server.stop();
    rmSync(this.#dataDir, { recursive: true, force: true });
  }
}

function textOf(keys: ReadonlyMap<string, SigningKey>, grants: Grants): string {
  const owned = [...keys].map(([owner, { publicKey }]) => ({ owner, publicKey }));
  return accountsText(usersOf(owned, grants), grants.subjects);
}
