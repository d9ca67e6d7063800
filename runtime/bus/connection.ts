/** The connection to NATS: reconnects for ever, says so in the log, and refuses servers that cannot carry a realm. */
import { errors, type NatsConnection } from '@nats-io/nats-core';
import { connect, type NodeConnectionOptions } from '@nats-io/transport-node';
import { keyedOptions } from '#runtime/access/sign-on';
import type { SigningKey } from '#runtime/edge/sign';
import type { Logger } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';
import { compareVersions, SERVER_VERSION_MIN } from './server-version.ts';
import { hostsOf, serversOf } from './servers.ts';

const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Who refuses, or is not there, says so at once; who says nothing may run on a crowded machine, as we do. */
const CONNECT_ATTEMPTS_MAX = 4;

export interface BusOptions {
  /** One server, or several of a cluster separated by commas. */
  readonly url: string;
  readonly token?: string;
  /** Signs on with this key, and hears answers under its own prefix. */
  readonly key?: SigningKey;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca?: string;
  /** Shown in the server's connection list. */
  readonly name: string;
  readonly logger: Logger;
}

/** Throws `server_unreachable`, `server_too_old` or `jetstream_missing`. */
export async function connectBus(options: BusOptions): Promise<NatsConnection> {
  let nc: NatsConnection;
  const backoff = { attempt: 0 };
  try {
    nc = await patientConnect(connectionOptions(options, backoff));
  } catch (cause) {
    const host = hostsOf(options.url);
    throw new FabricError(
      busErrors.server_unreachable,
      `No NATS server answers at ${host}: ${(cause as Error).message}`,
      {
        details: { host },
        cause,
      },
    );
  }
  try {
    checkServer(nc);
  } catch (thrown) {
    await nc.close();
    throw thrown;
  }
  void follow(nc, options.logger, backoff);
  return nc;
}

async function patientConnect(options: NodeConnectionOptions): Promise<NatsConnection> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await connect(options);
    } catch (thrown) {
      if (!(thrown instanceof errors.TimeoutError) || attempt === CONNECT_ATTEMPTS_MAX) throw thrown;
    }
  }
}

/** Attempts since the connection was last there. */
interface Backoff {
  attempt: number;
}

function connectionOptions(
  { url, token, key, ca, name }: BusOptions,
  backoff: Backoff,
): NodeConnectionOptions {
  return {
    servers: serversOf(url),
    ...(token !== undefined && { token }),
    ...keyedOptions({ url, key, ca }),
    name,
    timeout: CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectDelayHandler: () => {
      backoff.attempt += 1;
      const delayMs = Math.min(RECONNECT_FIRST_MS * 2 ** Math.min(backoff.attempt, 10), RECONNECT_MAX_MS);
      return delayMs * (0.5 + Math.random() / 2);
    },
    pingInterval: 10_000,
    maxPingOut: 2,
  };
}

function checkServer(nc: NatsConnection): void {
  const { info } = nc;
  const version = info?.version ?? '0.0.0';
  if (compareVersions(version, SERVER_VERSION_MIN) < 0) {
    throw new FabricError(
      busErrors.server_too_old,
      `The NATS server has version ${version}; ${SERVER_VERSION_MIN} is needed`,
      {
        details: { version },
      },
    );
  }
  if (info?.jetstream !== true)
    throw new FabricError(busErrors.jetstream_missing, 'The NATS server runs without JetStream');
}

async function follow(nc: NatsConnection, logger: Logger, backoff: Backoff): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === 'reconnect') backoff.attempt = 0;
    if (status.type === 'disconnect') logger.warn({}, 'bus_disconnected');
    else if (status.type === 'reconnect') logger.info({}, 'bus_reconnected');
    else if (status.type === 'error') logger.error({ error: String(status.error) }, 'bus_error');
  }
}
