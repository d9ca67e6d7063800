/** A node: one process of a realm. Puts the bus, the shards, the drivers and the admin API together. */

import { rmSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import type { AccessKeeper } from '#runtime/access/keeper';
import { openKinds } from '#runtime/access/users';
import { AckMux } from '#runtime/bus/ack-mux';
import { writePrivateFile } from '#runtime/bus/file';
import { type AskRoute, openAskRouter } from '#runtime/bus/nats-asks';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { natsEffects } from '#runtime/bus/nats-effects';
import { patiently } from '#runtime/bus/patience';
import { processStartTime } from '#runtime/bus/pid';
import { claimedSenders, provenSenders } from '#runtime/bus/senders';
import { ACCOUNTS_FILE, type EmbeddedServer } from '#runtime/bus/server';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { systemClock, systemRandom } from '#runtime/bus/system';
import { tidyJetStream } from '#runtime/bus/tidy-jetstream';
import { WEBHOOKS_LEASE, WITNESS_LEASE } from '#runtime/claims/lease-names';
import { natsLeases } from '#runtime/claims/nats-leases';
import { version } from '#runtime/cli/version';
import { KeyRegistry } from '#runtime/edge/keys';
import { natsKeyStore } from '#runtime/edge/nats-keys';
import { edgeGate } from '#runtime/edge/verify';
import { EffectDesk } from '#runtime/effects/desk';
import type { Driver } from '#runtime/effects/driver';
import { createEffectHub } from '#runtime/effects/runner';
import { keyringDriver } from '#runtime/keys/driver';
import { Keyring } from '#runtime/keys/keyring';
import type { Registry } from '#runtime/machine/registry';
import type { ActorKind } from '#runtime/machine/types';
import { knock, openDoor } from '#runtime/members/nats-knock';
import { natsMembers } from '#runtime/members/nats-store';
import { type NodeTraits, Roster } from '#runtime/members/roster';
import { membersView } from '#runtime/members/view';
import { Vigil } from '#runtime/members/vigil';
import { Privacy } from '#runtime/privacy/privacy';
import { orderRedaction } from '#runtime/privacy/redact';
import type { Shard } from '#runtime/shard/shard';
import type { WitnessService } from '#runtime/witness/service/service';
import { toWireError } from '#schemas/fabric-error';
import { KERNEL_TYPES } from '#schemas/kernel-kinds';
import { KEYRING_ACTOR } from '#schemas/keyring';
import { orAborted } from './abort.ts';
import type { ConfigApplyRequest, NodeStatus, RunFile } from './api.ts';
import { ApiServer } from './api-server.ts';
import { connectServer } from './connect-server.ts';
import { buildDrivers } from './drivers.ts';
import { leaseKey, ShardHost } from './host.ts';
import type { KeeperParts } from './keepers.ts';
import { freeLeftBehind } from './left-behind.ts';
import { healLogLimits } from './log-limits.ts';
import type { NodeOptions } from './node-options.ts';
import type { OpenServer } from './open-server.ts';
import { originOf } from './origin.ts';
import { OwnKeys } from './own-keys.ts';
import { ownName } from './own-name.ts';
import { buildRegistry, loadKinds } from './registry.ts';
import type { Resources } from './resources.ts';
import { RootSupervisor } from './root-supervisor.ts';
import { shardPorts } from './shard-deps.ts';

const packageVersion = version();
/** Output of an effect: it is an entry of the log, with room for the rest of a commit. */
const EFFECT_OUTPUT_BYTES_MAX = 128 * 1024;
/** Reads are asked again after this: a server that was restarted forgets what it was asked. */
const JS_TIMEOUT_MS = 2_000;
/** Servers of a cluster tell one another of a new subscription within a round trip. */
const LINGER_MS = 50;

export class Node {
  readonly id: string;
  readonly #options: NodeOptions;
  readonly #resources: Resources;
  readonly #startedAt = systemClock.now();
  readonly #ended = Promise.withResolvers<void>();
  #host: ShardHost | undefined;
  #roster: Roster | undefined;
  #rootDoors: readonly (() => void)[] = [];
  #keys: KeyRegistry | undefined;
  #access: AccessKeeper | undefined;
  #server: EmbeddedServer | undefined;
  readonly #privacy: Privacy;
  #witness: WitnessService | undefined;
  #stopping: Promise<void> | undefined;
  /** Every machine that the package brings along is loaded, or being loaded. */
  #hasAll = false;
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

  /** `opening`: its server, which began before. */
  async start(opening: Promise<OpenServer>): Promise<void> {
    const { config, log, signal } = this.#options;
    signal?.throwIfAborted();
    signal?.addEventListener('abort', () => void this.stop(), { once: true });
    const subjects = new Subjects(config.prefix, config.shards);
    const registryReady = this.#buildRegistry();
    registryReady.catch(() => undefined);
    const server = await opening;
    const { url, token, websocketUrl, caFile } = server;
    this.#access = server.access;
    this.#server = server.own;
    const nc = await connectServer(server, this.#options, `node ${this.id}`, this.#resources);
    const { registry, drivers, own } = await orAborted(registryReady, signal);
    await patiently('the streams of the realm', { clock: systemClock, logger: log, signal }, async () => {
      await healLogLimits(nc, subjects);
      await ensureStreams(nc, subjects, {
        replicas: config.nats.replicas,
        logger: log,
        inboxBytesMax: config.limits.inboxBytesMax,
        deadBytesMax: config.limits.deadBytesMax,
        logBytesMax: config.limits.logBytesMax ?? -1,
        objectBytesMax: config.limits.objectBytesMax,
      });
    });
    const parts = await this.#openShards(nc, subjects, registry, drivers, own);
    const { openKeepers } = await import('./keepers.ts');
    this.#witness = await openKeepers(parts, this.#resources);
    // Last of all: whoever waits for it is told that the node is up.
    this.#writeRunFile({
      url,
      ...(token !== undefined && { token }),
      ...(websocketUrl !== undefined && { websocketUrl }),
      ...(!this.#ownsServer() && { joined: true }),
      ...(config.nats.secure && { secure: { ...(caFile !== undefined && { ca: caFile }) } }),
    });
  }

  status(): NodeStatus {
    const { config } = this.#options;
    return {
      nodeId: this.id,
      ...(this.#roster !== undefined && { name: this.#roster.self.name, state: this.#roster.self.state }),
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

  async #buildRegistry(): Promise<{
    registry: Registry;
    drivers: readonly Driver[];
    /** Those among them that the package or the user brought. */
    own: readonly Driver[];
  }> {
    const { config, baseDir, builtins } = this.#options;
    const own = buildDrivers(builtins.drivers, config.drivers);
    const drivers = [
      ...own.map((driver) => this.#privacy.private(driver)),
      this.#privacy.driver,
      keyringDriver(() => this.#registryOfKeys()),
    ];
    const driverNames = drivers.map((driver) => driver.name);
    const registry = await buildRegistry({ config, machines: builtins.machines, driverNames, baseDir });
    return { registry, drivers, own };
  }

  async #openShards(
    nc: NatsConnection,
    subjects: Subjects,
    registry: Registry,
    drivers: readonly Driver[],
    own: readonly Driver[],
  ): Promise<KeeperParts> {
    const { config, log, spec, signal } = this.#options;
    /** What only opens something: a crowded machine answers some of it too late. */
    const opened = <T>(open: () => Promise<T>): Promise<T> =>
      patiently('the buckets of the realm', { clock: systemClock, logger: log, signal }, open);
    const jsm = await opened(() => jetstreamManager(nc, { timeout: JS_TIMEOUT_MS }));
    const keys = await KeyRegistry.open(
      natsKeyStore(await opened(() => new Kvm(tidyJetStream(nc)).open(subjects.buckets.keys)), log),
    );
    this.#resources.use(keys);
    this.#keys = keys;
    for (const key of config.edge.keys) await keys.add(key, systemClock.now());
    this.#access?.follow(keys, (accounts) => this.#putAccounts(accounts));
    const senders = config.nats.secure ? provenSenders((kid) => keys.keyOf(kid)?.owner) : claimedSenders;
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
    const blobs = await opened(() => natsBlobs(nc, subjects));
    const leases = await opened(() => natsLeases(nc, subjects.buckets.claims));
    const held = Array.from({ length: config.shards }, (_, shard) => leaseKey(shard));
    await freeLeftBehind(this.#options.dataDir, this.id, leases, [...held, WITNESS_LEASE, WEBHOOKS_LEASE]);
    // An old realm's actors may run on machines that its config names no more, and another node's on others than ours.
    const { state } = await opened(() => jsm.streams.info(subjects.streams.log));
    this.#hasAll = state.last_seq > 0 || !this.#ownsServer();
    if (this.#hasAll) await registry.provide();
    openDoor(nc, subjects, this.id);
    const membersOf = await opened(() => natsMembers(nc, subjects.buckets.nodes));
    const joining = Roster.open({
      traits: this.#traits(registry),
      store: membersOf,
      ttlMs: config.limits.leaseTtlMs,
      clock: systemClock,
      logger: log,
    });
    const realm = {
      nc,
      subjects,
      isKind: (type: string) => registry.kind(type) !== undefined,
      baseDir: this.#options.baseDir,
      dataDir: this.#options.dataDir,
      senders,
      clock: systemClock,
      logger: log,
    };
    // None of them waits for another: each asks the server for what it follows.
    await this.#resources.useAll([joining, ...own.map(async (driver) => await driver.open?.(realm))]);
    const roster = await joining;
    this.#roster = roster;
    const look = (): void => {
      if (roster.members().length > 1) this.#provideAll(registry, roster);
    };
    roster.onChange(look);
    look();
    const acks = new AckMux(nc);
    this.#resources.defer(() => acks.close());
    const hub = createEffectHub({
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
    const effects = new EffectDesk({
      nodeId: this.id,
      hub,
      link: natsEffects(nc, subjects, this.id, log),
      labelsOf: (actor) => registry.kind(actor.slice(0, actor.indexOf('/')))?.labels,
      place: (labels, actor) => roster.effectNode(labels, actor),
      isThere: (nodeId) => roster.member(nodeId) !== undefined,
      onChange: (heard) => roster.onChange(heard),
      clock: systemClock,
      log,
    });
    this.#resources.use(effects);
    const { depsOf, doorOf } = shardPorts({
      nodeId: this.id,
      config,
      nc,
      jsm,
      acks,
      subjects,
      registry,
      senders,
      gate,
      guard: own.find((driver) => driver.guard !== undefined)?.guard,
      privacy,
      blobs,
      effects,
      logger: log,
    });
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
      readKinds: this.#kindReader(registry, roster),
      lacking: (machines) => roster.lacking(machines),
      beforeKinds: (kinds) => privacy.use(kinds),
    });
    roster.onChange(() => root.membersChanged());
    const host = new ShardHost({
      nodeId: this.id,
      shards: config.shards,
      leaseTtlMs: config.limits.leaseTtlMs,
      stayMs: config.limits.shardStayMs,
      leases,
      roster,
      clock: systemClock,
      random: systemRandom,
      logger: log,
      depsOf,
      doorOf,
      lingerMs: nc.info?.cluster === undefined ? 0 : LINGER_MS,
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
    const router = openAskRouter(nc, subjects, route, log, senders);
    this.#resources.defer(() => router.close());
    this.#resources.defer(() => host.stop());
    await host.start();
    this.#resources.use(
      new Vigil({
        nodeId: this.id,
        roster,
        knock: (id) => knock(nc, subjects, id),
        release: (id) => host.release(id),
        clock: systemClock,
        logger: log,
      }),
    );
    api.open({
      status: () => this.status(),
      down: () => void this.stop(),
      members: () => membersView(roster, config.shards, (shard) => host.claim(shard)),
      drain: (on) => roster.drain(on),
    });
    await orAborted(host.settled(), this.#options.signal);
    await orAborted(root.ensure(), this.#options.signal);
    return {
      nodeId: this.id,
      config,
      baseDir: this.#options.baseDir,
      nc,
      subjects,
      leases,
      api,
      keys,
      ownKeys,
      logger: log,
    };
  }

  /** This node is no longer alone: another may have actors here on machines that its own config does not name. */
  #provideAll(registry: Registry, roster: Roster): void {
    if (this.#hasAll) return;
    this.#hasAll = true;
    registry.provide().then(
      () => roster.setCode(codeOf(registry, registry.kinds())),
      (thrown: unknown) => {
        this.#hasAll = false;
        this.#options.log.error({ error: toWireError(thrown) }, 'machines_not_loaded');
      },
    );
  }

  #traits(registry: Registry): NodeTraits {
    const { config, dataDir, place } = this.#options;
    return {
      id: this.id,
      name: place?.name ?? config.node.name ?? ownName(dataDir),
      version: packageVersion,
      capacity: place?.capacity ?? config.node.capacity,
      labels: { ...config.node.labels, ...place?.labels },
      ...codeOf(registry, registry.kinds()),
      startedAt: this.#startedAt,
      knockable: true,
    };
  }

  #kindReader(registry: Registry, roster: Roster): (() => Promise<readonly ActorKind[]>) | undefined {
    const { configFile, baseDir, builtins } = this.#options;
    if (configFile === undefined) return undefined;
    return async () => {
      const { loadConfig } = await import('#runtime/supervise/load-config');
      const machines = builtins.machines.map(({ name }) => name);
      const { config } = loadConfig(configFile, { env: process.env, machines });
      const kinds = await loadKinds(registry, config, baseDir);
      this.#access?.use({ rules: config.access, kinds: openKinds(config) });
      const ours = registry.kinds().filter(({ type }) => KERNEL_TYPES.includes(type));
      roster.setCode(codeOf(registry, [...ours, ...kinds]));
      return [...ours, ...kinds];
    };
  }

  #shardChanged(shard: number, running: Shard | undefined, api: ApiServer, root: RootSupervisor): void {
    api.removeShard(shard);
    if (running !== undefined) api.addShard(running);
    root.shardChanged(shard, running);
    if (shard !== root.home) return;
    for (const close of this.#rootDoors) close();
    // One node answers for the tree: the one that has it.
    this.#rootDoors =
      running === undefined
        ? []
        : [
            api.serve('config.get', () => root.get()),
            api.serve('config.apply', (request: ConfigApplyRequest) => root.apply(request)),
          ];
  }

  #putAccounts(accounts: string): void {
    if (this.#server === undefined)
      writePrivateFile(joinPath(this.#options.dataDir, ACCOUNTS_FILE), accounts);
    else this.#server.reload(accounts);
  }

  #writeRunFile(server: Pick<RunFile, 'url' | 'token' | 'websocketUrl' | 'joined' | 'secure'>): void {
    const { config, dataDir } = this.#options;
    const path = joinPath(dataDir, 'run.json');
    const processStart = processStartTime(process.pid);
    const run: RunFile = {
      pid: process.pid,
      ...(processStart !== undefined && { processStartTime: processStart }),
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

/** What the others are told of a node's machines. */
function codeOf(registry: Registry, kinds: readonly ActorKind[]): Pick<NodeTraits, 'machines' | 'kinds'> {
  const refs = kinds.map(({ type, machine, version }) => [type, `${machine}@${version}`]);
  return { machines: [...registry.refs()], kinds: Object.fromEntries(refs) };
}
