/** Signing on to the server of a secure realm with a key of the fabric. */
import { isIP } from 'node:net';
import type { NodeConnectionOptions } from '@nats-io/transport-node';
import type { SigningKey } from '#runtime/edge/sign';
import { natsAuthenticator } from '#runtime/keys/nkey';
import { inboxPrefixOf } from './permissions.ts';

export interface SignOn {
  /** One server, or several separated by commas. */
  readonly url: string;
  readonly key?: SigningKey | undefined;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca?: string | undefined;
}

/** Options of a connection that signs on with a key: answers come under the key's own prefix (A2). */
export function keyedOptions({ url, key, ca }: SignOn): NodeConnectionOptions {
  return {
    ...(key !== undefined && {
      authenticator: natsAuthenticator(key),
      inboxPrefix: inboxPrefixOf(key.kid),
    }),
    ...(ca !== undefined && { tls: { ca, ...addressOf(url) } }),
  };
}

/** The client names no host to TLS where the server is known by an address; Node would take it for localhost. */
function addressOf(url: string): { readonly host?: string } {
  const [first = ''] = url.split(',');
  const server = URL.parse(first.includes('://') ? first : `nats://${first}`);
  const host = server?.hostname.replaceAll(/[[\]]/g, '') ?? '';
  return isIP(host) === 0 ? {} : { host };
}
