/**
 * Looks after the other nodes between the renewals of their rows, so that a crash is known before a row ends.
 *
 * V1  A process that ended has no connection: the servers say at once that nobody listens at its door. Said again and
 *     again for {@link GONE_AFTER_MS}, it means that the node has gone; one that changes its server is back sooner.
 * V2  The row and the leases of such a node are removed. Who was wrong about it did no harm: a node that lives tells of
 *     itself again with its next renewal and takes leases again that nobody has, and the fence of the log holds anyway.
 * V3  A node that hangs keeps its connection, and one may be cut off itself: then the TTL tells (M1).
 * V4  Each node looks after the two that follow it in the order of ids, so that a look costs the same in any realm.
 */
import type { Clock, Logger } from '#runtime/shard/ports';
import { toWireError } from '#schemas/fabric-error';
import type { Member } from '#schemas/member';
import type { Roster } from './roster.ts';

const LOOK_EVERY_MS = 200;
export const GONE_AFTER_MS = 800;
const LOOKED_AFTER = 2;

/** What came of knocking at the door of a node: `unclear` where neither it nor a server answered in time. */
export type Knock = 'there' | 'nobody' | 'unclear';

export interface VigilOptions {
  readonly nodeId: string;
  readonly roster: Pick<Roster, 'others' | 'forget' | 'steadyAt'>;
  /** Never rejects. */
  readonly knock: (nodeId: string) => Promise<Knock>;
  /** Removes the leases that a node holds, as they stand. */
  readonly release: (nodeId: string) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Vigil implements AsyncDisposable {
  readonly #options: VigilOptions;
  /** Since when nobody is said to listen, ms since the epoch. */
  readonly #silentSince = new Map<string, number>();
  #looking: Promise<void> = Promise.resolve();
  #timer: unknown;
  #isClosed = false;

  constructor(options: VigilOptions) {
    this.#options = options;
    this.#arm();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#options.clock.clearTimer(this.#timer);
    await this.#looking;
  }

  #arm(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(() => {
      this.#looking = this.#look().finally(() => this.#arm());
    }, LOOK_EVERY_MS);
  }

  async #look(): Promise<void> {
    const { nodeId, roster, clock } = this.#options;
    const watched = after(nodeId, roster.others());
    for (const id of this.#silentSince.keys()) {
      if (!watched.some((member) => member.id === id)) this.#silentSince.delete(id);
    }
    // V3: what a node sees that was cut off a moment ago says nothing.
    if (clock.now() < roster.steadyAt) return this.#silentSince.clear();
    await Promise.all(watched.map((member) => this.#lookAt(member)));
  }

  async #lookAt({ id, name }: Member): Promise<void> {
    const { roster, knock, release, clock, logger } = this.#options;
    if ((await knock(id)) !== 'nobody') return void this.#silentSince.delete(id);
    const since = this.#silentSince.get(id) ?? clock.now();
    this.#silentSince.set(id, since);
    const silentMs = clock.now() - since;
    if (silentMs < GONE_AFTER_MS || this.#isClosed) return;
    logger.warn({ id, name, silentMs }, 'member_lost');
    try {
      await Promise.all([roster.forget(id), release(id)]);
    } catch (thrown) {
      // The next look does it again, or the TTL.
      logger.warn({ id, name, error: toWireError(thrown) }, 'member_not_forgotten');
    }
  }
}

/** V4; those that have a door to knock at. */
function after(nodeId: string, others: readonly Member[]): readonly Member[] {
  const sorted = others.filter(({ knockable }) => knockable === true).sort((a, b) => (a.id < b.id ? -1 : 1));
  const next = sorted.findIndex(({ id }) => id > nodeId);
  const from = next === -1 ? 0 : next;
  return [...sorted.slice(from), ...sorted.slice(0, from)].slice(0, LOOKED_AFTER);
}
