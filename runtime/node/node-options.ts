/** What a node is started with. */
import type { MachineDefinition, ShelvedMachine } from '#runtime/machine/registry';
import type { Logger } from '#runtime/shard/ports';
import type { RealmConfig } from '#schemas/config';
import type { SupervisorSpec } from '#schemas/supervisor';

export interface NodeOptions {
  readonly config: RealmConfig;
  /** The root supervisor as the config has it. */
  readonly spec: SupervisorSpec;
  /** Machine files of the config are relative to it. */
  readonly baseDir: string;
  readonly dataDir: string;
  /** The config file: a reload reads its kinds anew. */
  readonly configFile?: string;
  readonly builtins: NodeBuiltins;
  /** URL of the NATS server of a realm that runs already. */
  readonly join?: string;
  /** What is said of this node alone: before what the config says. */
  readonly place?: {
    readonly name?: string;
    readonly capacity?: number;
    readonly labels?: Readonly<Record<string, string>>;
  };
  /** Stops the node, also while it starts: `startNode` then rejects. */
  readonly signal?: AbortSignal;
  readonly log: Logger;
}

export interface NodeBuiltins {
  readonly machines: readonly (MachineDefinition | ShelvedMachine)[];
  readonly drivers: Readonly<Record<string, unknown>>;
}
