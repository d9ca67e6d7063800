/** The inert world a machine sees: it can name other actors and read the moment, and do nothing. */
import { MOMENT } from '#schemas/machine-kit';
import type { StepContext } from './types.ts';

/** An action of XState, resolved but not carried out. */
export interface RawAction {
  readonly type: string;
  readonly params: unknown;
  readonly exec?: unknown;
}

/** A reference to an actor, as data. */
export class InertRef {
  readonly id: string;
  /** Set where the actor is named by its address instead of its place in the tree. */
  readonly address: string | undefined;
  /** Children: name of their logic. */
  readonly src: string | undefined;

  constructor(id: string, address?: string, src?: string) {
    this.id = id;
    this.address = address;
    this.src = src;
  }

  /** XState asks children for theirs; nothing of a child lives here. */
  getSnapshot(): undefined {
    return undefined;
  }
}

/**
 * One per machine, reused by every step: `begin` sets the moment and empties the actions. Steps are synchronous and
 * never nest, so nothing of one actor is seen by another.
 */
export class InertScope {
  readonly parent = new InertRef('#parent');
  readonly system: InertSystem;
  readonly self: InertSelf;
  readonly id = '';
  readonly sessionId = '';
  actions: RawAction[] = [];
  /** XState swaps this during a microstep and puts it back. */
  actionExecutor: (action: RawAction) => void;

  constructor() {
    this.system = new InertSystem();
    this.self = new InertSelf(this.system, this.parent);
    this.actionExecutor = (action) => {
      this.actions.push(action);
    };
  }

  begin(context: StepContext): void {
    this.actions = [];
    this.system[MOMENT] = context;
  }

  logger = (): void => {};
  defer = (): void => {};
  emit = (): void => {};
  stopChild = (): void => {};
}

class InertSelf {
  readonly system: InertSystem;
  readonly _parent: InertRef;

  constructor(system: InertSystem, parent: InertRef) {
    this.system = system;
    this._parent = parent;
  }

  /** The actor's own address. */
  get id(): string {
    return this.system[MOMENT]?.self ?? '';
  }

  get sessionId(): string {
    return this.id;
  }
}

class InertSystem {
  [MOMENT]: StepContext | undefined = undefined;
  /** Asked for when XState makes a child. */
  readonly _clock = undefined;
  readonly _logger = (): void => {};

  /** A reference to the actor at an address, for `sendTo`. */
  get(address: string): InertRef {
    return new InertRef(address, address);
  }

  _bookId(): string {
    return 'inert';
  }

  _register(): string {
    return 'inert';
  }

  _unregister(): void {}
  _set(): void {}
  _sendInspectionEvent(): void {}
  _relay(): void {}
}
