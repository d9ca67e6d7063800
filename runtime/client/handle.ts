/** A handle on one actor, with the events of its machine as types. */
import type { AnyActorLogic, EventFromLogic } from 'xstate';
import type { Answer, AskOptions, Receipt } from './types.ts';

/** `E`: the events that the actor's machine takes. */
export interface ActorHandle<E> {
  readonly address: string;
  /** Resolves after the commit. */
  ask(event: E, options?: AskOptions): Promise<Answer>;
  /** Resolves once stored; the actor may be down. */
  send(event: E, options?: AskOptions): Promise<Receipt>;
}

/** The events of a machine: `EventsOf<typeof counter>`. */
export type EventsOf<M extends AnyActorLogic> = EventFromLogic<M>;
