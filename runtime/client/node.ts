/** The client on Node: over TCP, with the run file of a local realm, and keys that sign. */
import { readFile } from 'node:fs/promises';
import { type NodeConnectionOptions, connect as natsConnect } from '@nats-io/transport-node';
import { keyedOptions } from '#runtime/access/sign-on';
import { serversOf, splitToken } from '#runtime/bus/servers';
import { type SigningKey, signingKey, signMessage } from '#runtime/edge/sign';
import type { RunFile } from '#runtime/node/api';
import { FabricError } from '#schemas/fabric-error';
import { type Client, clientOver } from './client.ts';
import { clientErrors } from './errors.ts';
import type { ClientOptions } from './types.ts';

const URL_DEFAULT = 'nats://127.0.0.1:4222';

export interface ConnectOptions extends ClientOptions {
  /** Several servers of a cluster separated by commas. Default: the run file's, `NATS_URL`, or the local server. */
  readonly url?: string;
  readonly token?: string;
  /** `run.json` of a running realm: gives url, token and prefix. */
  readonly runFile?: string;
  /** Signs IFMessages: a key, or its 32-byte seed. */
  readonly key?: SigningKey | Uint8Array;
  /** Signs on to a secure realm: a key, or its 32-byte seed; `key` where absent and the realm is secure. */
  readonly signOn?: SigningKey | Uint8Array;
  /** PEM of the authority behind the server; the run file's where absent. */
  readonly ca?: string;
  /** Further options of the NATS connection: TLS, credentials, timeouts. */
  readonly nats?: NodeConnectionOptions;
}

/**
 * Connects, and reconnects for as long as the client is open.
 *
 * Throws `connect_failed`, and `run_file_bad` where the run file cannot be read.
 *
 * @example
 * await using client = await connect({ runFile: '.infrafabric/counter/run.json' });
 * const { reply } = await client.ask('counter/k1', { type: 'inc' });
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const run = options.runFile === undefined ? undefined : await readRunFile(options.runFile);
  const { NATS_URL: environmentUrl } = process.env;
  const given = options.url ?? run?.url ?? environmentUrl ?? URL_DEFAULT;
  const prefix = options.prefix ?? run?.prefix;
  const key = keyOf(options.key);
  const caFile = run?.secure?.ca;
  const ca = options.ca ?? (caFile === undefined ? undefined : await readFile(caFile, 'utf8'));
  const signOn = keyOf(options.signOn) ?? (ca === undefined ? undefined : key);
  try {
    const { url, token: tokenOfUrl } = splitToken(given);
    const token = options.token ?? run?.token ?? tokenOfUrl;
    const connection = await natsConnect({
      servers: serversOf(url),
      maxReconnectAttempts: -1,
      ...(token !== undefined && { token }),
      ...keyedOptions({ url, key: signOn, ca }),
      ...options.nats,
    });
    return await clientOver(connection, {
      ...options,
      ...(prefix !== undefined && { prefix }),
      ...(key !== undefined && { signer: (message) => signMessage(message, key) }),
    });
  } catch (cause) {
    if (cause instanceof FabricError) throw cause;
    // Neither the URL nor the cause's text goes into the message: either may carry a credential.
    throw new FabricError(clientErrors.connect_failed, 'No connection to the NATS server', { cause });
  }
}

function keyOf(key: SigningKey | Uint8Array | undefined): SigningKey | undefined {
  return key instanceof Uint8Array ? signingKey(key) : key;
}

async function readRunFile(file: string): Promise<RunFile> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as RunFile;
  } catch (cause) {
    throw new FabricError(clientErrors.run_file_bad, `Cannot read ${file}`, { details: { file }, cause });
  }
}

export { Client } from './client.ts';
export type { ActorHandle, EventsOf } from './handle.ts';
export { memorySequences } from './sequence.ts';
export { fileSequences } from './sequence-file.ts';
export type * from './types.ts';
