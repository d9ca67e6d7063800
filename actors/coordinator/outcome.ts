/**
 * What becomes of an actor that decides in its own time: heard from its live events, and looked for as well, since a key
 * may not listen to others' actors, and events are not stored.
 */
import type { EventBody } from '#runtime/bus/live-event';
import type { Client } from '#runtime/client/client';
import { FabricError } from '#schemas/fabric-error';
import { coordinatorErrors } from './errors.ts';
import { follow } from './watching.ts';

/** Who decides answers within milliseconds, or is on its way to another node. */
const LOOK_FIRST_MS = 20;
const LOOK_MAX_MS = 500;
/** Actors give up before. */
const PATIENCE_MS = 60_000;

export interface Deciding<View, Outcome> {
  readonly type: string;
  readonly id: string;
  readonly look: () => Promise<View>;
  /** What an event shows of it; undefined for one that shows nothing. */
  readonly shown: (told: EventBody) => View | undefined;
  /** Undefined while it is not decided. */
  readonly outcomeOf: (view: View) => Outcome | undefined;
}

/** Throws `no_outcome` where nothing is decided in a minute, and what `look` throws. */
export async function outcomeOf<View, Outcome>(
  client: Client,
  { type, id, look, shown, outcomeOf }: Deciding<View, Outcome>,
): Promise<Outcome> {
  const heard = Promise.withResolvers<Outcome>();
  const unwatch = follow(client, type, id, (told) => {
    const view = shown(told);
    const outcome = view === undefined ? undefined : outcomeOf(view);
    if (outcome !== undefined) heard.resolve(outcome);
  });
  try {
    const deadline = performance.now() + PATIENCE_MS;
    for (
      let waitMs = LOOK_FIRST_MS;
      performance.now() < deadline;
      waitMs = Math.min(waitMs * 2, LOOK_MAX_MS)
    ) {
      const seen = outcomeOf(await look());
      if (seen !== undefined) return seen;
      const late = Promise.withResolvers<undefined>();
      const timer = setTimeout(() => late.resolve(undefined), waitMs);
      const outcome = await Promise.race([heard.promise, late.promise]);
      clearTimeout(timer);
      if (outcome !== undefined) return outcome;
    }
    throw new FabricError(
      coordinatorErrors.no_outcome,
      `${type}/${id} has decided nothing in ${PATIENCE_MS} ms`,
    );
  } finally {
    unwatch();
  }
}
