/**
 * What the kernel asks of a state machine: data in, data out. The XState host in this folder is the one
 * implementation; the shard loop knows nothing of XState.
 */
import type { Address } from '#schemas/address';
import type { RetryPolicy } from '#schemas/commit';
import type { PersonalRules } from '#schemas/privacy';

/** What a machine may know of the moment it runs in; the same at every replay. */
export interface StepContext {
  /** Address of the actor that steps. */
  readonly self: Address;
  /** Time of the commit, ms since the epoch: the only clock a machine has. */
  readonly at: number;
  /** Sender's address or name, where there is one. */
  readonly from?: string;
}

/** What a step wants done, as data; carried out only after the commit. */
export type MachineAction =
  | { readonly kind: 'reply'; readonly body: unknown }
  | {
      readonly kind: 'send';
      readonly to: string;
      readonly event: EventData;
      readonly delayMs?: number;
      readonly id?: string;
    }
  | {
      readonly kind: 'sendParent';
      readonly event: EventData;
      readonly delayMs?: number;
      readonly id?: string;
    }
  | {
      readonly kind: 'sendChild';
      readonly childId: string;
      readonly event: EventData;
      readonly delayMs?: number;
      readonly id?: string;
    }
  /** A delayed raise (`after`, `raise` with delay). */
  | { readonly kind: 'timer'; readonly id: string; readonly event: EventData; readonly delayMs: number }
  /** Cancels a timer or a delayed send of this actor by id; unknown ids are ignored. */
  | { readonly kind: 'cancel'; readonly id: string }
  /** A child actor with an address of its own. */
  | { readonly kind: 'spawn'; readonly childId: string; readonly machine: string; readonly input?: unknown }
  /** Operates on a supervised actor at an address of its own choosing (supervisors). */
  | {
      readonly kind: 'start';
      readonly to: string;
      readonly childId: string;
      readonly machine: string;
      readonly input?: unknown;
    }
  | { readonly kind: 'stop'; readonly to: string; readonly childId?: string }
  | { readonly kind: 'migrate'; readonly to: string; readonly machine: string }
  /** Ends a spawned child or an invoked effect. */
  | { readonly kind: 'stopChild'; readonly childId: string }
  /** A promise-like invocation: its driver's result comes back as `xstate.done.actor.<id>` or `xstate.error.actor.<id>`. */
  | {
      readonly kind: 'invoke';
      readonly childId: string;
      readonly driver: string;
      readonly input?: unknown;
      readonly retry?: Partial<RetryPolicy>;
      readonly timeoutMs?: number;
    }
  /** A fire-and-forget effect for a driver. */
  | {
      readonly kind: 'effect';
      readonly driver: string;
      readonly input?: unknown;
      readonly retry?: Partial<RetryPolicy>;
      readonly timeoutMs?: number;
    }
  /** Published on `if.ev.<type>.<id>.<event>` after the commit. */
  | { readonly kind: 'emit'; readonly event: EventData }
  | { readonly kind: 'log'; readonly message: unknown; readonly severity: 'INFO' | 'WARN' | 'HIGH' };

export interface EventData {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A live state. Immutable; `raw` belongs to the host. */
export interface LiveState {
  readonly status: 'active' | 'done' | 'error' | 'stopped';
  readonly value: unknown;
  readonly context: unknown;
  readonly output?: unknown;
  readonly error?: unknown;
  readonly raw: unknown;
}

export interface Step {
  readonly state: LiveState;
  readonly actions: readonly MachineAction[];
}

/** One version of one machine. Every method is pure: the same arguments give the same result on any machine. */
export interface Machine {
  readonly name: string;
  readonly version: number;
  /** `name@version`. */
  readonly ref: string;
  /** The state an actor begins in. Throws what the machine's own code throws. */
  initial(input: unknown, context: StepContext): Step;
  /** Applies an event. Throws what the machine's own code throws; the given state is never changed. */
  step(state: LiveState, event: EventData, context: StepContext): Step;
  /** Plain data (msgpack-safe) from which `restore` gives the same state. */
  persist(state: LiveState): unknown;
  restore(persisted: unknown): LiveState;
  /** Event types the machine reacts to in any state (one may end in `.*`); undefined when it hears everything. */
  readonly events: readonly string[] | undefined;
}

/** How an actor kind runs. */
export interface ActorKind {
  /** First part of the address. */
  readonly type: string;
  /** The machine new actors of this kind begin on. */
  readonly machine: string;
  readonly version: number;
  /** True when a first message brings the actor to life; otherwise it must be spawned. */
  readonly spawnOnMessage: boolean;
  /** Input for actors spawned by a first message. */
  readonly input?: unknown;
  /** `signed`: only verified IFMessages; `open`: plain events too; `closed`: nothing from outside, only mail and the kernel. */
  readonly door: 'signed' | 'open' | 'closed';
  /** What a throwing step means: keep the last good state (default), or fail the actor so that its supervisor acts. */
  readonly onThrow?: 'keep' | 'fail';
  /** Labels that a node must have to run effects of its actors. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Fields of its events that are sealed before anything stores them. */
  readonly personal?: PersonalRules;
}

/** Every machine a node can run. */
export interface MachineRegistry {
  /** Throws `unknown_machine`. A name without version gives the newest. */
  machine(name: string, version?: number): Machine;
  /** `name@version`. */
  byRef(ref: string): Machine;
  /** Undefined for an unknown type. */
  kind(type: string): ActorKind | undefined;
  kinds(): readonly ActorKind[];
  /** Carries persisted data from one version to another along declared migrations. Throws `no_migration`. */
  migrate(name: string, from: number, to: number, persisted: unknown): unknown;
}
