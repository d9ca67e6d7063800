/** Which hosts may be called. */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { FabricError } from '#schemas/fabric-error';
import { effectErrors } from './errors.ts';

const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // Cloud metadata services live here.
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
];
const PRIVATE_V6: readonly (readonly [string, number])[] = [
  ['::', 128],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
];

const privateAddresses = new BlockList();
for (const [net, bits] of PRIVATE_V4) privateAddresses.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of PRIVATE_V6) privateAddresses.addSubnet(net, bits, 'ipv6');

/** True for loopback, link-local, private, shared, multicast and reserved addresses, mapped ones included. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  return family === 0 || privateAddresses.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/**
 * Checks a URL before anything is sent to it. An entry is `host`, `host:port` or `*.domain`. A name that resolves to a
 * private address is refused unless `allowPrivate`; `localhost` and literal addresses are allowed by being listed.
 *
 * The name is looked up once more when the connection is made: against a listed name server that answers differently
 * the second time this is no protection.
 *
 * Throws `http_host_refused`, `http_private_address`, `http_network`, `effect_bad_input`.
 */
export async function checkUrl(
  url: URL,
  allowHosts: readonly string[],
  allowPrivate: boolean,
): Promise<void> {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new FabricError(effectErrors.effect_bad_input, `${url.protocol} is not http: or https:`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new FabricError(
      effectErrors.effect_bad_input,
      'Credentials belong into a header, not into the URL',
    );
  }
  if (!allowHosts.some((entry) => matches(url, entry.toLowerCase()))) {
    throw new FabricError(effectErrors.http_host_refused, `Calls to ${url.host} are not allowed`, {
      details: { host: url.host, add: `drivers: {http: {allowHosts: [${url.host}]}}` },
    });
  }
  const host = bareHost(url);
  if (allowPrivate || isIP(host) !== 0 || host === 'localhost') return;
  let found: readonly { readonly address: string }[];
  try {
    found = await lookup(host, { all: true });
  } catch (cause) {
    throw new FabricError(effectErrors.http_network, `${host} has no address`, { cause, details: { host } });
  }
  const inside = found.find(({ address }) => isPrivateAddress(address));
  if (inside !== undefined) {
    throw new FabricError(effectErrors.http_private_address, `${host} is at a private address`, {
      details: { host, address: inside.address },
    });
  }
}

function matches(url: URL, entry: string): boolean {
  if (entry.startsWith('*.')) {
    return isIP(bareHost(url)) === 0 && url.hostname.endsWith(entry.slice(1)) && url.port === '';
  }
  return entry === url.hostname || entry === bareHost(url) || entry === hostAndPort(url);
}

/** Without the brackets of IPv6. */
function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function hostAndPort(url: URL): string {
  return `${url.hostname}:${url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port}`;
}
