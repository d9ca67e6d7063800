/** What driver `match` follows and asks: the tasks and sessions of the realm, who waits for one, and who was offered one. */
import type { DriverRealm } from '#runtime/effects/driver';
import { gangOf } from './gang.ts';
import type { MatchInput } from './match-input.ts';
import { needOf, sessionsFor } from './matching.ts';
import { Offered } from './offered.ts';
import { Relook } from './relook.ts';
import { TaskIndex } from './task-index.ts';
import { WaitingRoom } from './waiting.ts';

export class MatchOffice implements AsyncDisposable {
  readonly #realm: DriverRealm;
  readonly #index: TaskIndex;
  readonly #room: WaitingRoom;
  readonly #offered: Offered;
  readonly #relook: Relook;

  constructor(realm: DriverRealm) {
    const { nc, subjects, logger, clock } = realm;
    this.#realm = realm;
    this.#index = new TaskIndex(nc, subjects, logger, (task) => {
      this.#room.changed(task);
      this.#offered.changed(task);
    });
    this.#offered = new Offered(this.#index.tasks);
    this.#room = new WaitingRoom(this.#index.available, clock, this.#index);
    this.#relook = new Relook({
      clock,
      isWanted: () => this.#room.size + this.#offered.size > 0,
      look: () => this.#index.readAnew(),
    });
  }

  async answer(wanted: MatchInput, signal: AbortSignal): Promise<unknown> {
    const index = this.#index;
    await index.ready();
    this.#relook.begin();
    if (wanted.want === 'task') {
      const { session: id, capabilities, fillersOnly, declined } = wanted;
      return await this.#room.wait({ id, capabilities, fillersOnly, declined: new Set(declined) }, signal);
    }
    if (wanted.want === 'taken') {
      const { task, session: id, next } = wanted;
      await this.#offered.taken(task, id, signal);
      const offer = next && this.#room.offerNow({ ...next, id, declined: new Set(next.declined) });
      return offer === undefined ? {} : { next: offer };
    }
    const { task, requires, except, max } = wanted;
    const view = index.tasks.get(task);
    if (view?.governed === true) {
      const need = { ...needOf(view), requires };
      return { sessions: gangOf(need, index, new Set(except), this.#realm.clock.now()) };
    }
    return { sessions: sessionsFor(requires, index.sessions.values(), new Set(except)).slice(0, max) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#relook.close();
    this.#room.close();
    await this.#index[Symbol.asyncDispose]();
  }
}
