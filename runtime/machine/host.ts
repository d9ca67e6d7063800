/**
 * Runs XState machines as pure functions.
 *
 * H1  A step changes nothing outside its result: actions are data, the given state stays as it was.
 * H2  The scope is shared by all actors of a machine; nothing of one step is seen by the next.
 * H3  `restore(persist(s))` has the same future as `s`, action by action.
 * H4  What the machine's own code throws comes out of `initial` and `step` unchanged.
 * H5  A machine's short way gives the step that XState would give.
 */
import { Actor, type AnyMachineSnapshot, type AnyStateMachine, type StateNode } from 'xstate';
import { SHORT_WAY, type ShortStep, type ShortWay } from '#schemas/machine-kit';
import { type ActionWorld, type ChildKind, mapActions } from './actions.ts';
import { InertRef, InertScope } from './scope.ts';
import type { EventData, LiveState, Machine, Step, StepContext } from './types.ts';

export interface HostOptions {
  readonly name: string;
  readonly version: number;
  readonly machine: AnyStateMachine;
  /** How the children that the machine names run. */
  readonly children: ReadonlyMap<string, ChildKind>;
}

/** What is stored of a state; only `value` and `context` where the rest says nothing. */
interface Persisted {
  readonly value: unknown;
  readonly context: unknown;
  readonly status?: LiveState['status'];
  readonly output?: unknown;
  readonly error?: unknown;
  /** Id → name of the logic. */
  readonly children?: Readonly<Record<string, string>>;
  /** History node → the nodes it remembers. */
  readonly history?: Readonly<Record<string, readonly string[]>>;
  /** Active nodes, where their order is not the one that `value` gives. */
  readonly nodes?: readonly string[];
  /** Unnamed timers set so far. */
  readonly timers?: number;
}

/** Gives one version of a machine to the kernel. The machine must have passed the checks of load.ts. */
export function hostMachine(options: HostOptions): Machine {
  return new XStateHost(options);
}

type AnyNode = StateNode;

interface Snapshot {
  status: LiveState['status'];
  value: unknown;
  context: unknown;
  output: unknown;
  error: unknown;
  _nodes: AnyNode[];
  tags: Set<string>;
  children: Record<string, { id: string; src?: unknown }>;
  historyValue: Record<string, AnyNode[]>;
}

/** Parts of a snapshot that all actors in the same states share. */
interface Configuration {
  readonly nodes: AnyNode[];
  readonly value: unknown;
  readonly tags: Set<string>;
  /** True where `value` alone restores the nodes in this order. */
  readonly canonical: boolean;
}

/** Configurations kept per machine; a parallel machine with more of them shares less. */
const CONFIGURATIONS_MAX = 4_096;
const NO_CHILDREN: Snapshot['children'] = Object.freeze({});
const NO_HISTORY: Snapshot['historyValue'] = Object.freeze({});
const NO_TAGS: Set<string> = new Set();
/** A child is an address or an effect: here it is only a name. */
const STUB_LOGIC = {
  getInitialSnapshot: () => ({ status: 'active' as const, output: undefined, error: undefined }),
  getPersistedSnapshot: (snapshot: unknown) => snapshot,
  transition: (snapshot: unknown) => snapshot,
};

class State implements LiveState {
  readonly raw: Snapshot;
  /** Unnamed timers set so far: their ids must differ. */
  readonly timers: number;

  constructor(raw: Snapshot, timers: number) {
    this.raw = raw;
    this.timers = timers;
  }

  get status() {
    return this.raw.status;
  }

  get value() {
    return this.raw.value;
  }

  get context() {
    return this.raw.context;
  }

  get output() {
    return this.raw.output;
  }

  get error() {
    return this.raw.error;
  }
}

class XStateHost implements Machine {
  readonly name: string;
  readonly version: number;
  readonly ref: string;
  readonly events: readonly string[] | undefined;
  readonly #machine: AnyStateMachine;
  readonly #scope = new InertScope();
  readonly #configurations = new Map<string, Configuration>();
  readonly #byName = new Map<string, Configuration>();
  /** By the nodes that its actors share. */
  readonly #byNodes = new WeakMap<AnyNode[], Configuration>();
  readonly #world: ActionWorld & { self: string };
  readonly #shortWay: ShortWay | undefined;
  #timers = 0;

  constructor({ name, version, machine, children }: HostOptions) {
    this.name = name;
    this.version = version;
    this.ref = `${name}@${version}`;
    const stubs = Object.fromEntries([...children.keys()].map((src) => [src, STUB_LOGIC]));
    this.#machine = machine.provide({ actors: stubs } as never) as AnyStateMachine;
    this.events = eventsOf(machine);
    this.#shortWay = (machine as { readonly [SHORT_WAY]?: ShortWay })[SHORT_WAY];
    this.#world = {
      ref: this.ref,
      scope: this.#scope,
      self: '',
      child: (src) => children.get(src),
      declares: (name, action) => machine.implementations.actions[name] === action,
      freshTimerId: () => `timer.${this.#timers++}`,
    };
  }

  initial(input: unknown, context: StepContext): Step {
    this.#scope.begin(context);
    const snapshot = this.#machine.getInitialSnapshot(this.#scope as never, input as never);
    // H4: XState keeps a throw of the start in the snapshot.
    if (snapshot.status === 'error') throw snapshot.error;
    return this.#finish(snapshot as never, undefined, 0, context);
  }

  step(state: LiveState, event: EventData, context: StepContext): Step {
    const before = state as State;
    if (before.status !== 'active') return { state, actions: [] };
    const short = this.#shortWay?.(before, event, context);
    if (short !== undefined) return this.#finishShort(short, before, context);
    this.#scope.begin(context);
    const snapshot = this.#machine.transition(
      before.raw as unknown as AnyMachineSnapshot,
      event,
      this.#scope as never,
    ) as unknown as Snapshot;
    return this.#finish(snapshot, before, before.timers, context);
  }

  persist(state: LiveState): Persisted {
    const { raw, timers } = state as State;
    const persisted: Record<string, unknown> = { value: raw.value, context: raw.context };
    if (raw.status !== 'active') {
      persisted['status'] = raw.status;
      if (raw.output !== undefined) persisted['output'] = raw.output;
      if (raw.error !== undefined) persisted['error'] = raw.error;
    }
    if (raw.children !== NO_CHILDREN) {
      persisted['children'] = Object.fromEntries(Object.values(raw.children).map(({ id, src }) => [id, src]));
    }
    if (raw.historyValue !== NO_HISTORY) {
      persisted['history'] = Object.fromEntries(
        Object.entries(raw.historyValue).map(([id, nodes]) => [id, nodes.map((node) => node.id)]),
      );
    }
    if (!this.#configurationOf(raw).canonical) persisted['nodes'] = raw._nodes.map((node) => node.id);
    if (timers > 0) persisted['timers'] = timers;
    return persisted as unknown as Persisted;
  }

  restore(data: unknown): LiveState {
    const persisted = data as Persisted;
    const snapshot = this.#machine.resolveState({
      value: persisted.value as never,
      context: persisted.context as never,
    }) as unknown as Snapshot;
    snapshot.status = persisted.status ?? 'active';
    snapshot.output = persisted.output;
    snapshot.error = persisted.error;
    if (persisted.nodes !== undefined) snapshot._nodes = persisted.nodes.map((id) => this.#node(id));
    if (persisted.children !== undefined) {
      snapshot.children = Object.fromEntries(
        Object.entries(persisted.children).map(([id, src]) => [id, new InertRef(id, undefined, src)]),
      );
    }
    if (persisted.history !== undefined) {
      snapshot.historyValue = Object.fromEntries(
        Object.entries(persisted.history).map(([id, nodes]) => [id, nodes.map((node) => this.#node(node))]),
      );
    }
    return new State(this.#share(snapshot), persisted.timers ?? 0);
  }

  #finish(snapshot: Snapshot, before: State | undefined, timers: number, context: StepContext): Step {
    this.#world.self = context.self;
    this.#timers = timers;
    const { actions, failed } = mapActions(this.#scope.actions, this.#world);
    if (snapshot === before?.raw && failed === undefined && this.#timers === timers)
      return { state: before, actions };
    const ended =
      failed === undefined ? snapshot : { ...snapshot, status: 'error' as const, error: failed.error };
    return { state: new State(this.#share(ended, before?.raw), this.#timers), actions };
  }

  /** H5. */
  #finishShort({ context, value, actions }: ShortStep, before: State, { self }: StepContext): Step {
    this.#world.self = self;
    const { raw, timers } = before;
    const { children, kept } = childrenAfter(raw.children, actions);
    const mapped = mapActions(kept, this.#world).actions;
    if (context === raw.context && children === raw.children) return { state: before, actions: mapped };
    const next = { ...raw, context, children };
    if (value !== raw.value) {
      const configuration = this.#configurationAt(value);
      next._nodes = configuration.nodes;
      next.value = configuration.value;
      next.tags = configuration.tags;
    }
    return { state: new State(next, timers), actions: mapped };
  }

  /** Makes a fresh snapshot light: what says nothing, or is the same in every actor, is shared. */
  #share(snapshot: Snapshot, before?: Snapshot): Snapshot {
    if (snapshot._nodes === before?._nodes) {
      snapshot.value = before.value;
      snapshot.tags = before.tags;
    } else {
      const { nodes, value, tags } = this.#configurationOf(snapshot);
      snapshot._nodes = nodes;
      snapshot.value = value;
      snapshot.tags = tags;
    }
    if (isEmpty(snapshot.historyValue)) snapshot.historyValue = NO_HISTORY;
    if (isEmpty(snapshot.children)) snapshot.children = NO_CHILDREN;
    else if (snapshot.children !== NO_CHILDREN) snapshot.children = inert(snapshot.children);
    return snapshot;
  }

  /** Of a flat machine. */
  #configurationAt(name: string): Configuration {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const there = this.#machine.resolveState({ value: name, context: {} } as never) as unknown as Snapshot;
    const made = this.#configurationOf(there);
    this.#byName.set(name, made);
    return made;
  }

  #configurationOf({ _nodes, value, tags }: Snapshot): Configuration {
    const shared = this.#byNodes.get(_nodes);
    if (shared !== undefined) return shared;
    let key = '';
    for (const node of _nodes) key += `${node.order},`;
    const known = this.#configurations.get(key);
    if (known !== undefined) return known;
    const restored = (
      this.#machine.resolveState({ value: value as never, context: {} as never }) as unknown as Snapshot
    )._nodes;
    const canonical = restored.length === _nodes.length && restored.every((node, i) => node === _nodes[i]);
    const made = { nodes: _nodes, value, tags: tags.size === 0 ? NO_TAGS : tags, canonical };
    if (this.#configurations.size < CONFIGURATIONS_MAX) {
      this.#configurations.set(key, made);
      this.#byNodes.set(_nodes, made);
    }
    return made;
  }

  #node(id: string): AnyNode {
    return this.#machine.getStateNodeById(`#${id}`) as AnyNode;
  }
}

/** What a short way's actions make of the children; to end one that is not there means nothing. */
function childrenAfter(
  before: Snapshot['children'],
  actions: ShortStep['actions'],
): { readonly children: Snapshot['children']; readonly kept: ShortStep['actions'] } {
  let children = before;
  let kept = actions;
  for (const action of actions) {
    if (action.type === 'xstate.spawnChild') {
      const { actorRef, src } = action.params as { actorRef: { id: string }; src: string };
      children = { ...children, [actorRef.id]: new InertRef(actorRef.id, undefined, src) };
    } else if (action.type === 'xstate.stopChild') {
      const { id } = action.params as { id: string };
      if (!Object.hasOwn(children, id)) kept = kept.filter((one) => one !== action);
      else {
        const { [id]: _, ...others } = children;
        children = others;
      }
    }
  }
  return { children: isEmpty(children) ? NO_CHILDREN : children, kept };
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}

/** Actors that XState made become names. */
function inert(children: Snapshot['children']): Snapshot['children'] {
  let made: Snapshot['children'] | undefined;
  for (const [id, child] of Object.entries(children)) {
    if (!(child instanceof Actor)) continue;
    made ??= { ...children };
    made[id] = new InertRef(id, undefined, child.src as string);
  }
  return made ?? children;
}

/** What the machine hears from others; undefined where it hears everything. A descriptor may end in `.*`. */
function eventsOf(machine: AnyStateMachine): readonly string[] | undefined {
  const events = machine.events as readonly string[];
  if (events.includes('*')) return undefined;
  return events.filter((event) => !event.startsWith('xstate.'));
}
