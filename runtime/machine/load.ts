/** Checks at load: what a machine for the kernel may not do is refused before an actor runs on it. */
import { isDeepStrictEqual } from 'node:util';
import type { AnyStateMachine, StateNode } from 'xstate';
import { FabricError } from '#schemas/fabric-error';
import { KERNEL_ACTION_NAMES } from '#schemas/machine-kit';
import type { ChildKind } from './actions.ts';
import { machineErrors } from './errors.ts';
import { InertScope } from './scope.ts';
import { unsafeData } from './unsafe-data.ts';

export interface Checked {
  /** How each logic that the machine names runs. */
  readonly children: ReadonlyMap<string, ChildKind>;
  /** Machines it can spawn, by the name they are registered under. */
  readonly machines: ReadonlyMap<string, AnyStateMachine>;
}

/** Throws `bad_machine`, which names the machine, the state, the reason and the fix. */
export function checkMachine(
  name: string,
  version: number,
  machine: AnyStateMachine,
  drivers: ReadonlySet<string>,
): Checked {
  if (!Number.isInteger(version) || version < 1) {
    throw refusal(name, '(machine)', `has no version; give it a whole number from 1, not ${String(version)}`);
  }
  const check = new Check(name, machine, drivers);
  const children = check.children(version);
  check.context();
  check.implementations();
  check.node(machine.root);
  return { children, machines: check.machines };
}

type Callable = ((...args: never[]) => unknown) & Readonly<Record<string, unknown>>;
type Named = { readonly type: string };
type Use = string | Callable | Named;

const KERNEL_ACTIONS = new Set(KERNEL_ACTION_NAMES);
/** `new Date(at)` of a given time is pure; a field named like one of these (`context.process`) is no use of it. */
const IMPURE = new RegExp(
  [
    String.raw`(?<![\w$.])(?:Date\.now|new\s+Date(?:\s*\(\s*\)|\b(?!\s*[(.]))|(?<!new\s)Date\s*\(|Math\.random)`,
    String.raw`(?<![\w$.])crypto\.(?:random\w+|getRandomValues|subtle|generate\w+)`,
    String.raw`(?<![\w$.])performance\.(?:now|timeOrigin|mark|measure)`,
    String.raw`(?<![\w$.])process\.(?:env|argv|pid|ppid|hrtime|uptime|cwd|nextTick|memoryUsage|cpuUsage|std\w+|exit)\b`,
    String.raw`(?<![\w$])globalThis\b`,
    String.raw`(?<![\w$.])(?:setTimeout|setInterval|setImmediate|queueMicrotask|fetch|import)\s*\(`,
    String.raw`\b(?:randomUUID|getRandomValues)\s*\(`,
  ].join('|'),
);
/** Given as they are, these show no source. */
const IMPURE_NATIVES: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [Date, 'Date'],
  [Date.now, 'Date.now'],
  [Math.random, 'Math.random'],
]);
/** Not a use: a comment or a text. Template literals stay, since code may stand in them. */
const NO_CODE = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g;

class Check {
  readonly machines = new Map<string, AnyStateMachine>();
  readonly #name: string;
  readonly #machine: AnyStateMachine;
  readonly #drivers: ReadonlySet<string>;

  constructor(name: string, machine: AnyStateMachine, drivers: ReadonlySet<string>) {
    this.#name = name;
    this.#machine = machine;
    this.#drivers = drivers;
  }

  children(version: number): Map<string, ChildKind> {
    const children = new Map<string, ChildKind>();
    for (const driver of this.#drivers) children.set(driver, { kind: 'effect', driver });
    for (const [src, logic] of Object.entries(
      this.#machine.implementations.actors as Record<string, unknown>,
    )) {
      if (isMachine(logic)) {
        const child = `${this.#name}/${src}`;
        this.machines.set(child, logic);
        children.set(src, { kind: 'machine', machine: `${child}@${version}` });
      } else if (!isPromise(logic)) {
        const why = `the actor "${src}" is neither a machine nor a promise (callbacks, observables and transition functions leave no data to resume from)`;
        this.#refuse('(actors)', `${why}; make it a machine, or an effect with invocation()`);
      } else if (!this.#drivers.has(src)) {
        this.#refuse(
          '(actors)',
          `no driver is named "${src}" as the invoked actor is; name it after one of ${this.#known()}`,
        );
      }
    }
    return children;
  }

  context(): void {
    const { context } = this.#machine.config;
    if (typeof context !== 'function') {
      this.#data(context);
      return;
    }
    this.#noSpawn('(context)', sourceOf(context));
    this.#pure('(context)', 'context factory', context);
    const scope = new InertScope();
    const make = () => {
      scope.begin({ self: 'check/check', at: 0 });
      return (context as Callable)({ input: undefined, self: scope.self } as never);
    };
    let first: unknown;
    try {
      first = make();
    } catch {
      // It needs an input: what it makes of one is checked where an actor begins.
      return;
    }
    if (!isDeepStrictEqual(first, make())) {
      this.#refuse(
        '(context)',
        'the context factory gives something else each time; make it depend on input and moment(self) only',
      );
    }
    this.#data(first);
  }

  /** Everything the machine names, used or not: what is enqueued by name shows in no state. */
  implementations(): void {
    const { actions, guards, delays } = this.#machine.implementations;
    for (const [name, action] of Object.entries(actions)) {
      if (isBuiltin(action)) this.#builtin(`(action ${name})`, action);
    }
    for (const [name, guard] of Object.entries(guards)) this.#pureGuard(`(guard ${name})`, guard);
    for (const [name, delay] of Object.entries(delays)) this.#pure(`(delay ${name})`, 'delay', delay);
  }

  node(node: StateNode): void {
    const path = node.path.join('.') || '(root)';
    this.#pure(path, 'output', (node as { output?: unknown }).output);
    const transitions = [...[...node.transitions.values()].flat(), ...(node.always ?? [])];
    const actions = [...node.entry, ...node.exit, ...transitions.flatMap((transition) => transition.actions)];
    // `initial` of an atomic node throws.
    if (node.type === 'compound') actions.push(...node.initial.actions);
    for (const action of actions) this.#action(path, action as Use);
    for (const { guard } of transitions) {
      if (guard === undefined) continue;
      this.#guard(path, guard as Use);
      this.#pureGuard(path, guard);
    }
    for (const { src, systemId, input } of node.invoke) {
      if (systemId !== undefined) this.#noSystemId(path);
      this.#source(path, src as unknown);
      this.#pure(path, 'input', input);
    }
    for (const child of Object.values(node.states)) this.node(child as StateNode);
  }

  #action(path: string, action: Use): void {
    if (typeof action === 'function') {
      if (action['resolve'] === undefined) {
        this.#refuse(
          path,
          `the action ${action.name || '(anonymous)'} is an inline function, which the kernel never runs; use assign, a kernel action or an effect`,
        );
      }
      this.#builtin(path, action);
      return;
    }
    if (typeof action === 'object') this.#pure(path, 'params', (action as { params?: unknown }).params);
    const type = typeof action === 'string' ? action : action.type;
    const declared = this.#machine.implementations.actions[type] as Callable | undefined;
    if (declared !== undefined && 'resolve' in declared) this.#builtin(path, declared);
    else if (!KERNEL_ACTIONS.has(type) && !this.#drivers.has(type)) {
      this.#refuse(
        path,
        `nothing carries out the action "${type}"; name it after a kernel action (${KERNEL_ACTION_NAMES.join(', ')}) or a driver (${this.#known()})`,
      );
    }
  }

  #builtin(path: string, action: Callable): void {
    for (const part of PARTS) this.#pure(path, part, action[part]);
    switch (action['type']) {
      case 'xstate.assign': {
        const assignment = action['assignment'] as object;
        const parts = typeof assignment === 'function' ? [assignment] : Object.values(assignment);
        for (const part of parts) {
          if (typeof part === 'function') this.#noSpawn(path, sourceOf(part));
          this.#pure(path, 'assign', part);
        }
        return;
      }
      case 'xstate.spawnChild':
        if (action['systemId'] !== undefined) this.#noSystemId(path);
        this.#source(path, action['src']);
        return;
      case 'xstate.enqueueActions':
        if (/\bsystemId\b/.test(sourceOf(action['collect'] as Callable))) this.#noSystemId(path);
        return;
      case 'xstate.raise':
      case 'xstate.sendTo': {
        const delay = action['delay'];
        if (typeof delay === 'string' && !(delay in this.#machine.implementations.delays)) {
          this.#refuse(path, `the delay "${delay}" is not declared; add it to setup({ delays })`);
        }
      }
    }
  }

  /** A function of the machine that a replay calls again must give the same again. */
  #pure(path: string, what: string, made: unknown): void {
    if (typeof made !== 'function') return;
    const source = sourceOf(made).replaceAll(NO_CODE, "''");
    const impure = IMPURE_NATIVES.get(made) ?? IMPURE.exec(source)?.[0].replace(/\s*\($/, '');
    if (impure === undefined) return;
    this.#refuse(
      path,
      `its ${what} uses ${impure}, so a replay would differ; take the time from moment(system).at, ids and random values from the event or input, and the rest from an effect`,
    );
  }

  #pureGuard(path: string, guard: unknown): void {
    this.#pure(path, 'guard', isBuiltin(guard) ? undefined : guard);
    if (typeof guard === 'function') {
      for (const inner of ((guard as Callable)['guards'] as readonly unknown[] | undefined) ?? [])
        this.#pureGuard(path, inner);
    } else if (typeof guard === 'object' && guard !== null) {
      this.#pure(path, 'params', (guard as { params?: unknown }).params);
    }
  }

  #guard(path: string, guard: Use): void {
    if (typeof guard === 'function') {
      for (const inner of (guard['guards'] as readonly Use[] | undefined) ?? []) this.#guard(path, inner);
      return;
    }
    const type = typeof guard === 'string' ? guard : guard.type;
    const declared = this.#machine.implementations.guards[type] as Use | undefined;
    if (declared === undefined)
      this.#refuse(path, `the guard "${type}" is not declared; add it to setup({ guards })`);
    if (typeof declared === 'function') this.#guard(path, declared);
  }

  #source(path: string, src: unknown): void {
    if (typeof src !== 'string' || src.startsWith('xstate.invoke.')) {
      this.#refuse(
        path,
        'a child has inline logic, which no stored state can name; declare it in setup({ actors })',
      );
    }
    if (!(src in this.#machine.implementations.actors) && !this.#drivers.has(src)) {
      this.#refuse(
        path,
        `the actor "${src}" is not declared; add it to setup({ actors }), or use a driver (${this.#known()})`,
      );
    }
  }

  #noSpawn(path: string, source: string): void {
    if (/\bspawn\b/.test(source)) {
      this.#refuse(
        path,
        'it spawns while it assigns, so the child would be part of the context; use spawnChild with an id',
      );
    }
  }

  #noSystemId(path: string): never {
    this.#refuse(path, 'it uses systemId; every actor has an address already, send to that');
  }

  #data(context: unknown): void {
    const unsafe = unsafeData(context);
    if (unsafe !== undefined) {
      this.#refuse(
        '(context)',
        `context${unsafe.path} is ${unsafe.what}, which cannot be stored; keep plain data only`,
      );
    }
  }

  #known(): string {
    return [...this.#drivers].join(', ') || 'none is known';
  }

  #refuse(path: string, why: string): never {
    throw refusal(this.#name, path, why);
  }
}

/** Fields of XState's own actions that may be functions of the machine. */
const PARTS = [
  'collect',
  'event',
  'eventOrExpr',
  'delay',
  'to',
  'input',
  'value',
  'actorRef',
  'sendId',
  'id',
  'src',
];

/** An action or guard made by XState, which keeps the machine's functions in fields. */
function isBuiltin(use: unknown): use is Callable {
  return typeof use === 'function' && ('resolve' in use || 'check' in use);
}

function sourceOf(made: unknown): string {
  return Function.prototype.toString.call(made);
}

function refusal(machine: string, state: string, why: string): FabricError {
  return new FabricError(machineErrors.bad_machine, `Machine ${machine}, state ${state}: ${why}`, {
    details: { machine, state },
  });
}

/** True for what createMachine gives, of any copy of XState. */
export function isMachine(value: unknown): value is AnyStateMachine {
  return typeof value === 'object' && value !== null && '__xstatenode' in value && 'root' in value;
}

/** XState does not say which logic a promise is; only it ends on this event. */
function isPromise(logic: unknown): boolean {
  if (typeof logic !== 'object' || logic === null || !('transition' in logic)) return false;
  try {
    const transition = logic.transition as (...args: unknown[]) => { status?: unknown; output?: unknown };
    const settled = transition(
      { status: 'active' },
      { type: 'xstate.promise.resolve', data: 1 },
      { self: {} },
    );
    return settled.status === 'done' && settled.output === 1;
  } catch {
    // Another logic, asked something it does not know.
    return false;
  }
}
