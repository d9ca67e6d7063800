/**
 * `npm run cluster`: three nats-servers as one cluster, and three nodes that join them, on this machine.
 *
 *   npm run cluster                                    counters on three nodes; Ctrl-C stops, the same goes on
 *   npm run cluster -- --config my.yaml --nodes 2      a realm of yours
 *   npm run cluster -- --data DIR --port 4300          another folder; six consecutive ports
 *   npm run cluster -- restart s2                      a planned restart, from another terminal
 *
 * What ends by itself, or by `kill -9`, is started again after two seconds, as a service manager would.
 */

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { lockDataFolder } from '#runtime/bus/lock';
import { locateServer } from '#runtime/node/locate-server';
import type { Logger } from '#runtime/shard/ports';
import { loadConfig } from '#runtime/supervise/load-config';
import { toWireError } from '#schemas/fabric-error';
import { ClusterNode } from './nodes.ts';
import { planCluster } from './plan.ts';
import { restartServer } from './restart.ts';
import { ClusterServers } from './servers.ts';

const SERVERS = 3;
const NODES_MAX = 16;
const START_AGAIN_MS = 2_000;
const CONFIG_DEFAULT = resolve(import.meta.dirname, 'realm.yaml');
const DATA_DEFAULT = '.infrafabric/cluster';

/** The servers' own logs are long; what matters is said here. */
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    config: { type: 'string', default: CONFIG_DEFAULT },
    data: { type: 'string', default: DATA_DEFAULT },
    nodes: { type: 'string', default: '3' },
    port: { type: 'string', default: '0' },
  },
});
const folder = resolve(values.data);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

try {
  const [verb, name] = positionals;
  if (verb === undefined) await runCluster();
  else if (verb === 'restart' && name !== undefined) await restartServer(folder, name, say);
  else throw new Error('What is meant? `npm run cluster`, or `npm run cluster -- restart s2`');
} catch (thrown) {
  const { message, help } = toWireError(thrown);
  say(help === undefined ? message : `${message}\n${help}`);
  process.exitCode = 1;
}

async function runCluster(): Promise<void> {
  const config = resolve(values.config);
  const { config: realm } = loadConfig(config, { env: process.env });
  const count = Number(values.nodes);
  if (!Number.isInteger(count) || count < 1 || count > NODES_MAX) {
    throw new Error(`--nodes takes a number from 1 to ${NODES_MAX}`);
  }
  const lock = lockDataFolder(folder);
  const stopped = Promise.withResolvers<void>();
  let isStopping = false;
  const timers = new Set<NodeJS.Timeout>();
  const startAgain = (one: { readonly name: string; start(): Promise<void> }): void => {
    if (isStopping) return;
    say(`  ${one.name} ended; it starts again in ${START_AGAIN_MS / 1_000} s`);
    const timer = setTimeout(() => {
      timers.delete(timer);
      one.start().then(
        () => say(`  ${one.name} is back`),
        (error: unknown) => say(`  ${toWireError(error).message}`),
      );
    }, START_AGAIN_MS);
    timers.add(timer);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.resolve());
  const strict = realm.durability === 'strict';
  const plan = await planCluster({ folder, servers: SERVERS, strict, port: Number(values.port) });
  const servers = await ClusterServers.start({
    plan,
    binary: await locateServer(process.env),
    logger: quiet,
    onEnd: startAgain,
  });
  process.env['NATS_URL'] = servers.join;
  const nodes = Array.from({ length: count }, (_, n) => {
    const node = `n${n + 1}`;
    return new ClusterNode({ name: node, folder: resolve(folder, node), config, onEnd: startAgain });
  });
  try {
    // The first makes the streams.
    for (const node of nodes) await node.start();
    overview(servers, nodes, realm.realm);
    await stopped.promise;
    say('\nstopping …');
  } finally {
    isStopping = true;
    for (const timer of timers) clearTimeout(timer);
    for (const node of nodes.toReversed()) await node.stop();
    await servers.stop();
    lock.release();
  }
  say('stopped; the same command goes on from here');
}

function overview({ servers }: ClusterServers, nodes: readonly ClusterNode[], realm: string): void {
  const on = `--data ${nodes[0]?.folder}`;
  const pids = servers.map(({ name, url, pid }) => `  ${name}  ${url}  process ${pid}`);
  const lines = [
    `${servers.length} servers and ${nodes.length} nodes of realm ${realm} run in ${folder}`,
    ...pids,
    ...nodes.map(({ name, pid, log }) => `  ${name}  process ${pid}, log ${log}`),
    '',
    'Try, in another terminal:',
    `  npx infrafabric cluster status ${on}`,
    `  npx infrafabric nodes ${on}`,
    `  npx infrafabric ask counter/k1 add '{"by":1}' ${on}`,
    `  npx infrafabric doctor ${on}`,
    `  kill -9 ${servers[0]?.pid}                  a server: asks go on in seconds, and nothing is lost`,
    '  npm run cluster -- restart s2    a planned restart: others lead first',
    '',
    'Ctrl-C stops everything.',
  ];
  for (const line of lines) say(line);
}
