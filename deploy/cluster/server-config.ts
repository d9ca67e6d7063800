/** Config of one nats-server of a cluster. JSON strings are valid in the server's config language. */
import { join } from 'node:path';
import { MAX_PAYLOAD_BYTES, SIGN_ON_SECONDS } from '#runtime/bus/server';

/** What may wait for one client before the server drops it as too slow: every shard of a node reads ahead on one connection. */
const MAX_PENDING_BYTES = 256 * 1024 * 1024;
/** The disk is the bound; the server's own (three quarters of what is free) would be shared by all servers of one disk. */
const FILE_STORE_MAX = '1PB';

export interface ServerPlan {
  readonly name: string;
  readonly port: number;
  readonly routePort: number;
  readonly folder: string;
}

export interface ClusterPlan {
  readonly cluster: string;
  /** Clients authenticate with it. */
  readonly token: string;
  /** Servers authenticate to one another with it. */
  readonly routePassword: string;
  /** fsync before every acknowledgement, on every server. */
  readonly strict: boolean;
  readonly servers: readonly ServerPlan[];
}

export function pidFile({ folder }: ServerPlan): string {
  return join(folder, 'nats-server.pid');
}

export function configText(plan: ClusterPlan, server: ServerPlan): string {
  const quote = (text: string): string => JSON.stringify(text);
  const routes = plan.servers
    .filter(({ name }) => name !== server.name)
    .map(({ routePort }) => quote(`nats://route:${plan.routePassword}@127.0.0.1:${routePort}`));
  return `listen: "127.0.0.1:${server.port}"
server_name: ${quote(server.name)}
pid_file: ${quote(pidFile(server))}
max_payload: ${MAX_PAYLOAD_BYTES}
max_pending: ${MAX_PENDING_BYTES}
authorization { token: ${quote(plan.token)}, timeout: ${SIGN_ON_SECONDS} }
jetstream {
  store_dir: ${quote(join(server.folder, 'jetstream'))}
  max_file_store: ${FILE_STORE_MAX}
  ${plan.strict ? 'sync_interval: always' : ''}
}
cluster {
  name: ${quote(plan.cluster)}
  listen: "127.0.0.1:${server.routePort}"
  authorization { user: route, password: ${quote(plan.routePassword)} }
  routes: [${routes.join(', ')}]
}
`;
}
