/** The root supervisor of a realm: brought to life once, told of every config after. */
import type { Subjects } from '#runtime/bus/subjects';
import type { Registry } from '#runtime/machine/registry';
import type { ActorKind } from '#runtime/machine/types';
import type { Logger } from '#runtime/shard/ports';
import type { Shard } from '#runtime/shard/shard';
import { statusOf } from '#runtime/shard/table';
import { checkMigrations, isEmptyPlan, planOf } from '#runtime/supervise/plan';
import { hashOf, pinMachines } from '#runtime/supervise/spec';
import { FabricError, toWireError } from '#schemas/fabric-error';
import {
  type Plan,
  ROOT_SUPERVISOR,
  SUPERVISOR_MACHINE,
  type SupervisorSpec,
  supervisorSpecSchema,
} from '#schemas/supervisor';
import type { ConfigApplyRequest, ConfigReply } from './api.ts';
import { nodeErrors } from './errors.ts';

export interface RootOptions {
  readonly subjects: Subjects;
  readonly registry: Registry;
  /** What the config of this node says. */
  readonly spec: SupervisorSpec;
  /** The kinds of the config as it stands on disk now; undefined where the node has no file. */
  readonly readKinds: (() => Promise<readonly ActorKind[]>) | undefined;
  /** Nodes that would get actors on these machines and lack some. */
  readonly lacking: (
    machines: readonly string[],
  ) => readonly { readonly name: string; readonly missing: readonly string[] }[];
  /** Awaited before changed kinds count. */
  readonly beforeKinds: (kinds: readonly ActorKind[]) => Promise<void>;
  readonly logger: Logger;
}

export class RootSupervisor {
  readonly #options: RootOptions;
  /** The shard it lives in. */
  readonly home: number;
  /** The shard of the root supervisor, while it runs on this node. */
  #shard: Shard | undefined;
  /** Its shard was not here when this node started: then another node's config may be the newer one. */
  #late = false;
  /** This node's config waits until every node has its machines. */
  #isWaiting = false;

  constructor(options: RootOptions) {
    this.#options = options;
    this.home = options.subjects.shardOf(ROOT_SUPERVISOR);
  }

  shardChanged(shard: number, running: Shard | undefined): void {
    if (shard !== this.home) return;
    this.#shard = running;
    if (running === undefined || !this.#late) return;
    this.ensure().catch((thrown: unknown) => {
      this.#options.logger.error({ error: toWireError(thrown) }, 'config_not_applied');
    });
  }

  /** Starts the tree where there is none, and applies this node's config where it differs. Leaves it to the owner elsewhere. */
  async ensure(): Promise<void> {
    if (this.#shard === undefined) {
      this.#late = true;
      return;
    }
    const spec = this.#pinned(this.#options.spec, this.#options.registry.kinds());
    const before = await this.#current();
    if (before === undefined) await this.#spawn(spec);
    else if (!this.#late && !isEmptyPlan(planOf(before, spec))) {
      if (!this.#canMigrate(planOf(before, spec))) return;
      const behind = this.#behind(spec);
      const wasWaiting = this.#isWaiting;
      this.#isWaiting = behind !== undefined;
      if (behind === undefined) {
        this.#options.logger.info({}, 'config_changed');
        await this.#apply(spec);
      } else if (!wasWaiting) this.#options.logger.warn({ error: behind.toWire() }, 'config_waits');
    }
  }

  /** A realm whose tree stands must not stay down for a config that cannot be applied: it goes on with the tree it has. */
  #canMigrate(plan: Plan): boolean {
    try {
      checkMigrations(plan, this.#options.registry);
      return true;
    } catch (thrown) {
      this.#isWaiting = false;
      this.#options.logger.error({ error: toWireError(thrown) }, 'config_not_applied');
      return false;
    }
  }

  /** Other nodes came or went, or have other machines: a config that waited for that is applied. */
  membersChanged(): void {
    if (!this.#isWaiting || this.#shard === undefined) return;
    this.ensure().catch((thrown: unknown) => {
      this.#options.logger.error({ error: toWireError(thrown) }, 'config_not_applied');
    });
  }

  async get(): Promise<ConfigReply> {
    const spec = await this.#current();
    if (spec === undefined) {
      throw new FabricError(nodeErrors.actor_absent, 'The realm has no supervision tree yet');
    }
    const cell = await this.#owner().look(ROOT_SUPERVISOR);
    return { spec, hash: hashOf(spec), appliedAt: cell?.touchedAt ?? 0 };
  }

  /** The plan of a new spec; carried out unless it is a dry run. */
  async apply(request: ConfigApplyRequest): Promise<Plan> {
    const parsed = supervisorSpecSchema.safeParse(request.spec);
    if (!parsed.success) {
      throw new FabricError(
        nodeErrors.api_bad_request,
        `The spec is not valid: ${parsed.error.issues[0]?.message ?? ''}`,
      );
    }
    const kinds = (await this.#options.readKinds?.()) ?? this.#options.registry.kinds();
    const spec = this.#pinned(parsed.data, kinds);
    const plan = planOf(await this.#current(), spec);
    checkMigrations(plan, this.#options.registry);
    if (request.dryRun === true) return plan;
    const behind = this.#behind(spec);
    if (behind !== undefined) throw behind;
    await this.#options.beforeKinds(kinds);
    for (const kind of kinds) this.#options.registry.addKind(kind);
    if (!isEmptyPlan(plan)) await this.#apply(spec);
    return plan;
  }

  /** An actor whose shard lies at a node without its machine could not start. */
  #behind(spec: SupervisorSpec): FabricError | undefined {
    const lacking = this.#options.lacking([...machinesOf(spec)]);
    if (lacking.length === 0) return undefined;
    const who = lacking.map(({ name, missing }) => `${name} has no ${missing.join(', ')}`).join('; ');
    return new FabricError(
      nodeErrors.nodes_behind,
      `Not every node has the machines of this config: ${who}`,
      {
        details: { lacking },
      },
    );
  }

  #pinned(spec: SupervisorSpec, kinds: readonly ActorKind[]): SupervisorSpec {
    return pinMachines(spec, (type) => {
      const kind = kinds.find((k) => k.type === type);
      if (kind === undefined)
        throw new FabricError(nodeErrors.api_bad_request, `This realm has no kind "${type}"`);
      return `${kind.machine}@${kind.version}`;
    });
  }

  async #current(): Promise<SupervisorSpec | undefined> {
    const cell = await this.#owner().look(ROOT_SUPERVISOR);
    if (cell === undefined || statusOf(cell) !== 'active') return undefined;
    return (cell.state.context as { spec: SupervisorSpec }).spec;
  }

  #owner(): Shard {
    if (this.#shard !== undefined) return this.#shard;
    throw new FabricError(nodeErrors.not_root_owner, 'The root supervisor lives on another node');
  }

  async #spawn(spec: SupervisorSpec): Promise<void> {
    const outcome = await this.#owner().admin({
      cause: { kind: 'admin', by: 'node' },
      actor: ROOT_SUPERVISOR,
      op: 'spawn',
      machine: SUPERVISOR_MACHINE,
      input: spec,
    });
    if (!outcome.ok) throw new FabricError({ help: '', ...outcome.error }, outcome.error.message);
  }

  async #apply(spec: SupervisorSpec): Promise<void> {
    const outcome = await this.#owner().admin({
      cause: { kind: 'admin', by: 'operator' },
      actor: ROOT_SUPERVISOR,
      op: 'event',
      event: { type: 'config.apply', spec },
    });
    if (!outcome.ok) throw new FabricError({ help: '', ...outcome.error }, outcome.error.message);
  }
}

function machinesOf(spec: SupervisorSpec, found = new Set<string>()): Set<string> {
  for (const child of spec.children) {
    if (child.supervisor === undefined) found.add(child.machine);
    else machinesOf(child.supervisor, found);
  }
  return found;
}
