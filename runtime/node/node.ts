/** A node: one process of a realm. Puts the bus, the shards, the drivers and the admin API together. */
import { mkdirSync, rmSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { realmTile } from '#runtime/archive/open';
import { AckMux } from '#runtime/bus/ack-mux';
import { connectBus } from '#runtime/bus/connection';
import { writePrivateFile } from '#runtime/bus/file';
import { lockDataFolder } from '#runtime/bus/lock';
import { type AskRoute, natsAsks, openAskRouter } from '#runtime/bus/nats-asks';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { mailOf, natsInbox } from '#runtime/bus/nats-inbox';
import { natsLog } from '#runtime/bus/nats-log';
import { natsOutbox } from '#runtime/bus/nats-outbox';
import { EmbeddedServer } from '#runtime/bus/server';
import { ensureStreams } from '#runtime/bus/streams';
import { addressOfTail, Subjects } from '#runtime/bus/subjects';
import { systemClock, systemRandom } from '#runtime/bus/system';
import { natsLeases } from '#runtime/claims/nats-leases';
import { version } from '#runtime/cli/version';
import { KeyRegistry } from '#runtime/edge/keys';
import { natsKeyStore } from '#runtime/edge/nats-keys';
import { edgeGate } from '#runtime/edge/verify';
import type { Driver } from '#runtime/effects/driver';
import { createEffectHub } from '#runtime/effects/runner';
import { keyringDriver } from '#runtime/keys/driver';
import { Keyring } from '#runtime/keys/keyring';
import type { MachineDefinition, Registry } from '#runtime/machine/registry';
import type { ActorKind } from '#runtime/machine/types';
import { Privacy } from '#runtime/privacy/privacy';
import { orderRedaction } from '#runtime/privacy/redact';
import type { Logger } from '#runtime/shard/ports';
import type { Shard, ShardDeps } from '#runtime/shard/shard';
import { loadConfig } from '#runtime/supervise/load-config';
import { WITNESS_LEASE, type WitnessService } from '#runtime/witness/service/service';
import type { RealmConfig } from '#schemas/config';
import { KERNEL_TYPES } from '#schemas/kernel-kinds';
import { KEYRING_ACTOR } from '#schemas/keyring';
import type { SupervisorSpec } from '#schemas/supervisor';
import type { NodeStatus, RunFile } from './api.ts';
import { ApiServer } from './api-server.ts';
import { ArchiveKeeper, healLogLimits } from './archive.ts';
import { crashProbe } from './crash-probe.ts';
import { buildDrivers } from './drivers.ts';
import { leaseKey, ShardHost } from './host.ts';
import { freeLeftBehind } from './left-behind.ts';
import { locateServer } from './locate-server.ts';
import { OwnKeys } from './own-keys.ts';
import { buildRegistry, loadKinds } from './registry.ts';
import { Resources } from './resources.ts';
import { RootSupervisor } from './root-supervisor.ts';
import { openWitness, originOf } from './witness.ts';

const packageVersion = version();
/** Output of an effect: it is an entry of the log, with room for the rest of a commit. */
const EFFECT_OUTPUT_BYTES_MAX = 128 * 1024;
/** Reads are asked again after this: a server that was restarted forgets what it was asked. */
const JS_TIMEOUT_MS = 2_000;
/** All shards together hold back at most this part (1/n) of the inbox before they let go of what is consumed. */
const INBOX_RELEASE_SHARE = 4;

export interface NodeOptions {
  readonly config: RealmConfig;
  /** The root supervisor as the config has it. */
  readonly spec: SupervisorSpec;
  /** Machine files of the config are relative to it. */
  readonly baseDir: string;
  readonly dataDir: string;
  /** The config file: a reload reads its kinds anew. */
  readonly configFile?: string;
  readonly builtins: {
    readonly machines: readonly MachineDefinition[];
    readonly drivers: Readonly<Record<string, unknown>>;
  };
  /** URL of the NATS server of a realm that runs already. */
  readonly join?: string;
  /** Stops the node, also while it starts: `startNode` then rejects. */
  readonly signal?: AbortSignal;
  readonly log: Logger;
}

/**
 * Starts a node and resolves once its shards are open (or taken by other nodes) and the config is applied.
 *
 * Throws `data_locked`, `server_missing`, `server_failed`, `server_unreachable`, `stream_drift`, `shards_changed`,
 * `bad_machine` and what the drivers throw. Nothing is left running after a throw.
 */
export async function startNode(options: NodeOptions): Promise<Node> {
  const resources = new Resources();
  try {
    const node = new Node(options, resources);
    await node.start();
    return node;
  } catch (thrown) {
    await resources.disposeAsync();
    // What broke because everything was being closed says less than that it was.
    options.signal?.throwIfAborted();
    throw thrown;
  }
}

export class Node {
  readonly id: string;
  readonly #options: NodeOptions;
  readonly #resources: Resources;
  readonly #startedAt = systemClock.now();
  readonly #ended = Promise.withResolvers<void>();
  #host: ShardHost | undefined;
  #keys: KeyRegistry | undefined;
  readonly #privacy: Privacy;
  #witness: WitnessService | undefined;
  #stopping: Promise<void> | undefined;
  /** Resolves when the node has stopped, by whatever means. */
  readonly stopped: Promise<void>;

  constructor(options: NodeOptions, resources: Resources) {
    this.id = systemRandom.id();
    this.#options = options;
    this.#resources = resources;
    this.stopped = this.#ended.promise;
    this.#privacy = new Privacy({
      realm: options.config.realm,
      dataDir: options.dataDir,
      clock: systemClock,
      logger: options.log,
    });
  }

  async start(): Promise<void> {
    const { config, dataDir, log, signal } = this.#options;
    signal?.throwIfAborted();
    signal?.addEventListener('abort', () => void this.stop(), { once: true });
    const subjects = new Subjects(config.prefix, config.shards);
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const registryReady = this.#buildRegistry();
    registryReady.catch(() => undefined);
    const { url, token, websocketUrl } = await this.#openServer();
    const nc = await connectBus({
      url,
      name: `node ${this.id}`,
      logger: log,
      ...(token !== undefined && { token }),
    });
    this.#resources.defer(() => nc.close());
    const { registry, drivers } = await registryReady;
    await healLogLimits(nc, subjects);
    await ensureStreams(nc, subjects, {
      replicas: 1,
      inboxBytesMax: config.limits.inboxBytesMax,
      deadBytesMax: config.limits.deadBytesMax,
      logBytesMax: config.limits.logBytesMax ?? -1,
      objectBytesMax: config.limits.objectBytesMax,
    });
    await this.#openShards(nc, subjects, registry, drivers);
    this.#writeRunFile({
      url,
      ...(token !== undefined && { token }),
      ...(websocketUrl !== undefined && { websocketUrl }),
      ...(!this.#ownsServer() && { joined: true }),
    });
  }

  status(): NodeStatus {
    const { config } = this.#options;
    return {
      nodeId: this.id,
      realm: config.realm,
      version: packageVersion,
      pid: process.pid,
      startedAt: this.#startedAt,
      durability: config.durability,
      shardCount: config.shards,
      keys: this.#keys?.list().length ?? 0,
      keysRevoked: this.#keys?.list().filter(({ status }) => status === 'revoked').length ?? 0,
      shards: (this.#host?.all() ?? []).map((shard) => shard.status()),
      ...(this.#witness?.signedSize !== undefined && { witness: { signed: this.#witness.signedSize } }),
    };
  }

  /** Finishes the commits under way, gives the shards back and closes everything. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping ??= this.#resources.disposeAsync().finally(() => this.#ended.resolve());
    await this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #registryOfKeys(): KeyRegistry {
    if (this.#keys === undefined) throw new Error('invariant: keys are open before any effect runs');
    return this.#keys;
  }

  #ownsServer(): boolean {
    return this.#options.join === undefined && this.#options.config.nats.url === undefined;
  }

  async #buildRegistry(): Promise<{ registry: Registry; drivers: readonly Driver[] }> {
    const { config, baseDir, builtins } = this.#options;
    const own = buildDrivers(builtins.drivers, config.drivers);
    const drivers = [
      ...own.map((driver) => this.#privacy.private(driver)),
      this.#privacy.driver,
      keyringDriver(() => this.#registryOfKeys()),
    ];
    const driverNames = drivers.map((driver) => driver.name);
    const registry = await buildRegistry({ config, machines: builtins.machines, driverNames, baseDir });
    return { registry, drivers };
  }

  async #openServer(): Promise<{ url: string; token?: string; websocketUrl?: string }> {
    const { config, dataDir, join, log } = this.#options;
    const external = join ?? config.nats.url;
    if (external !== undefined) return splitToken(external);
    const lock = lockDataFolder(dataDir);
    this.#resources.defer(() => lock.release());
    const { port, websocketPort } = config.nats;
    const server = await EmbeddedServer.start({
      dataDir,
      binary: await locateServer(process.env),
      strict: config.durability === 'strict',
      logger: log,
      ...(port !== undefined && { port }),
      ...(websocketPort !== undefined && { websocketPort }),
    });
    this.#resources.use(server);
    const { url, token, websocketUrl } = server;
    return { url, token, ...(websocketUrl !== undefined && { websocketUrl }) };
  }

  async #openShards(
    nc: NatsConnection,
    subjects: Subjects,
    registry: Registry,
    drivers: readonly Driver[],
  ): Promise<void> {
    const { config, log, spec } = this.#options;
    const jsm = await jetstreamManager(nc, { timeout: JS_TIMEOUT_MS });
    const keys = await KeyRegistry.open(natsKeyStore(await new Kvm(nc).open(subjects.buckets.keys), log));
    this.#resources.use(keys);
    this.#keys = keys;
    for (const key of config.edge.keys) await keys.add(key, systemClock.now());
    const gate = edgeGate({
      policy: { unsignedTypes: config.edge.unsignedTypes, maxAgeMs: config.edge.maxAgeMs },
      keyOf: (kid) => keys.keyOf(kid),
    });
    const privacy = this.#privacy;
    await privacy.open({
      nc,
      subjects,
      isKind: (type) => registry.kind(type) !== undefined,
      bodyBytesMax: config.limits.bodyBytesMax,
    });
    this.#resources.use(privacy);
    await privacy.use(registry.kinds());
    const blobs = await natsBlobs(nc, subjects);
    const leases = await natsLeases(nc, subjects.buckets.claims);
    if (this.#ownsServer()) {
      const keys = Array.from({ length: config.shards }, (_, shard) => leaseKey(shard));
      await freeLeftBehind(this.#options.dataDir, this.id, leases, [...keys, WITNESS_LEASE]);
    }
    const outbox = natsOutbox({ nc, subjects, blobs, logger: log });
    const inboxDeps = { nc, jsm, subjects, clock: systemClock, logger: log };
    const acks = new AckMux(nc);
    this.#resources.defer(() => acks.close());
    const probe = crashProbe(process.env);
    const effects = createEffectHub({
      drivers,
      clock: systemClock,
      random: systemRandom,
      log,
      limits: {
        concurrencyMax: config.limits.effectsMax,
        timeoutMs: config.limits.effectTimeoutMs,
        outputBytesMax: EFFECT_OUTPUT_BYTES_MAX,
      },
    });
    const depsOf = (shard: number): ShardDeps => {
      const guarded = privacy.shard(shard, natsInbox(inboxDeps, shard), gate);
      return {
        shard,
        node: this.id,
        registry,
        shardOf: (address) => subjects.shardOf(address),
        addressOf: addressOfTail,
        mailOf: (message) => mailOf(subjects, message),
        log: natsLog({ nc, jsm, acks, subjects }, shard),
        inbox: guarded.inbox,
        admit: guarded.admit,
        onCommit: (commit) => guarded.committed(commit.consumed),
        asks: natsAsks(nc, subjects, shard, log),
        outbox,
        blobs,
        effects: effects.runner,
        gate: guarded.gate,
        clock: systemClock,
        logger: log,
        limits: {
          ...config.limits,
          inboxReleaseBytes: config.limits.inboxBytesMax / (config.shards * INBOX_RELEASE_SHARE),
        },
        ...(probe !== undefined && { probe }),
      };
    };
    const ownKeys = new OwnKeys({
      dataDir: this.#options.dataDir,
      realm: config.realm,
      origin: originOf(config),
      nc,
      subjects,
      registry: keys,
    });
    await ownKeys.ensure(this.#ownsServer());
    const keyring = new Keyring({
      home: subjects.shardOf(KEYRING_ACTOR),
      registry: () => keys,
      realmKey: () => ownKeys.realmKey(),
      logger: log,
    });
    const api = new ApiServer(nc, subjects, this.id, packageVersion, log, {
      redact: (shard, request) => orderRedaction(shard, request, () => privacy.keys()),
      keyring: (shard, request) => keyring.order(shard, request),
    });
    this.#resources.defer(() => api.close());
    const root = new RootSupervisor({
      subjects,
      registry,
      spec,
      logger: log,
      readKinds: this.#kindReader(registry),
      beforeKinds: (kinds) => privacy.use(kinds),
    });
    const host = new ShardHost({
      nodeId: this.id,
      shards: config.shards,
      leaseTtlMs: config.limits.leaseTtlMs,
      leases,
      clock: systemClock,
      random: systemRandom,
      logger: log,
      depsOf,
      changed: (shard, running) => {
        this.#shardChanged(shard, running, api, root);
        keyring.shardChanged(shard, running);
      },
    });
    this.#host = host;
    const route: AskRoute = {
      offer: (shard, ask) => host.offer(shard, ask),
      refusal: (shard) => host.failure(shard),
    };
    const router = openAskRouter(nc, subjects, route, log);
    this.#resources.defer(() => router.close());
    this.#resources.defer(() => host.stop());
    host.start();
    api.open({
      status: () => this.status(),
      down: () => void this.stop(),
      configGet: () => root.get(),
      configApply: (request) => root.apply(request),
    });
    await host.settled();
    this.#options.signal?.throwIfAborted();
    await root.ensure();
    this.#options.signal?.throwIfAborted();
    const keeper = new ArchiveKeeper({
      nodeId: this.id,
      config,
      baseDir: this.#options.baseDir,
      nc,
      subjects,
      leases,
      tile: realmTile(nc, subjects),
      clock: systemClock,
      random: systemRandom,
      logger: log,
    });
    this.#resources.use(keeper);
    keeper.start();
    if (!config.witness.enabled) return;
    const witness = openWitness({
      nodeId: this.id,
      config,
      ownKeys,
      baseDir: this.#options.baseDir,
      nc,
      subjects,
      leases,
      api,
      logger: log,
    });
    this.#resources.use(witness);
    this.#witness = witness;
    witness.start();
    keys.onRevoked((kid) => {
      if (ownKeys.isSigner(kid)) witness.renew();
    });
  }

  #kindReader(registry: Registry): (() => Promise<readonly ActorKind[]>) | undefined {
    const { configFile, baseDir, builtins } = this.#options;
    if (configFile === undefined) return undefined;
    return async () => {
      const machines = builtins.machines.map(({ name }) => name);
      const { config } = loadConfig(configFile, { env: process.env, machines });
      const kinds = await loadKinds(registry, config, baseDir);
      const ours = registry.kinds().filter(({ type }) => KERNEL_TYPES.includes(type));
      return [...ours, ...kinds];
    };
  }

  #shardChanged(shard: number, running: Shard | undefined, api: ApiServer, root: RootSupervisor): void {
    api.removeShard(shard);
    if (running !== undefined) api.addShard(running);
    root.shardChanged(shard, running);
  }

  #writeRunFile(server: Pick<RunFile, 'url' | 'token' | 'websocketUrl' | 'joined'>): void {
    const { config, dataDir } = this.#options;
    const path = joinPath(dataDir, 'run.json');
    const run: RunFile = {
      pid: process.pid,
      nodeId: this.id,
      realm: config.realm,
      prefix: config.prefix,
      startedAt: this.#startedAt,
      ...server,
    };
    writePrivateFile(path, `${JSON.stringify(run, null, 2)}\n`);
    this.#resources.defer(() => rmSync(path, { force: true }));
  }
}

/** `nats://token@host` → url and token. */
function splitToken(text: string): { url: string; token?: string } {
  const url = new URL(text.includes('://') ? text : `nats://${text}`);
  const token = decodeURIComponent(url.username);
  url.username = '';
  return token === '' || url.password !== '' ? { url: text } : { url: url.toString(), token };
}
