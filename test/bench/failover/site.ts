/** Where failover is measured: three servers that sync every write, three nodes, asks, and who else watches. */
import { setTimeout as pause } from 'node:timers/promises';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connectBus } from '#runtime/bus/connection';
import { isWhole, readCopies } from '#runtime/bus/copies';
import { Subjects } from '#runtime/bus/subjects';
import type { ClusterServer } from '../../../deploy/cluster/servers.ts';
import { BenchNodes } from '../nodes.ts';
import { type BenchCluster, benchCluster } from '../rig.ts';
import { Asking } from './asking.ts';
import { Beat, makeBareStream } from './beat.ts';

export const SERVERS = 3;
export const NODES = 3;
export const SHARDS = 12;
const WHOLE_TIMEOUT_MS = 120_000;
const LOOK_EVERY_MS = 100;
const BARE = 'BARE';

export interface Site extends AsyncDisposable {
  readonly nodes: BenchNodes;
  readonly asking: Asking;
  /** A publisher on a stream of its own with as many copies. */
  readonly bare: Beat;
  /** Who leads the log, asked by publishes that it has to refuse: nothing of them is stored. */
  readonly leader: Beat;
  readonly subjects: Subjects;
  readonly nc: NatsConnection;
  /** Has the same server lead the log and the bare stream; resolves with it. */
  oneLeader(): Promise<ClusterServer>;
  /** Resolves once all copies are up to date and all shards run. */
  whole(): Promise<void>;
}

export async function openSite(profileDir: string | undefined): Promise<Site> {
  await using owned = new AsyncDisposableStack();
  const bus = owned.use(await benchCluster(SERVERS, true));
  const nodes = owned.use(await BenchNodes.start({ bus, copies: SERVERS, shards: SHARDS, profileDir }));
  while (nodes.nodes.length < NODES) await nodes.add();
  await nodes.placed();
  const subjects = new Subjects('if', SHARDS);
  const nc = await connectBus({
    url: bus.servers.join(','),
    name: 'bench',
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    ...(bus.token !== undefined && { token: bus.token }),
  });
  owned.defer(() => nc.close());
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  await makeBareStream(jsm, BARE, SERVERS);
  const asking = owned.use(new Asking(nodes.client, subjects));
  const bare = owned.use(Beat.publishing(nc, BARE));
  const leader = owned.use(Beat.refused(nc, subjects.log(0)));
  const whole = async (): Promise<void> => {
    await copiesWhole(nc, subjects, jsm);
    await nodes.placed();
  };
  await whole();
  const kept = owned.move();
  return {
    nodes,
    asking,
    bare,
    leader,
    subjects,
    nc,
    oneLeader: () => oneLeader(jsm, nc, subjects, bus),
    whole,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function oneLeader(
  jsm: JetStreamManager,
  nc: NatsConnection,
  subjects: Subjects,
  bus: BenchCluster,
): Promise<ClusterServer> {
  for (const until = performance.now() + WHOLE_TIMEOUT_MS; ; await pause(LOOK_EVERY_MS)) {
    const [log, bare] = await Promise.all([leaderOf(jsm, subjects.streams.log), leaderOf(jsm, BARE)]);
    const server = bus.members.find(({ name }) => name === log);
    if (server !== undefined && log === bare) return server;
    if (log !== undefined && bare !== undefined) {
      await nc.request(
        `$JS.API.STREAM.LEADER.STEPDOWN.${BARE}`,
        JSON.stringify({ placement: { preferred: log } }),
        { timeout: WHOLE_TIMEOUT_MS },
      );
    }
    if (performance.now() > until) throw new Error('the streams have no leader in common in time');
  }
}

async function leaderOf(jsm: JetStreamManager, stream: string): Promise<string | undefined> {
  return (await jsm.streams.info(stream)).cluster?.leader;
}

async function copiesWhole(nc: NatsConnection, subjects: Subjects, jsm: JetStreamManager): Promise<void> {
  for (const until = performance.now() + WHOLE_TIMEOUT_MS; ; await pause(LOOK_EVERY_MS)) {
    const { streams } = await readCopies(nc, subjects);
    const bare = await jsm.streams.info(BARE).catch(() => undefined);
    const isBareWhole =
      bare?.cluster?.replicas?.length === SERVERS - 1 &&
      bare.cluster.replicas.every(({ current }) => current);
    if (isBareWhole && streams.every(isWhole)) return;
    if (performance.now() > until) throw new Error('the copies are not up to date in time');
  }
}
