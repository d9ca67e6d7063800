/** The steps of one commit, one by one, for whoever wants to see them. */
import type { Draft } from '#runtime/shard/draft';
import type { ActorTable } from '#runtime/shard/table';
import type { Entry } from '#schemas/commit';
import { outcomeOf } from './difference.ts';
import { viewOf } from './founds.ts';
import type { ActorView, EntryPlace, Made } from './report.ts';

export interface Look {
  readonly at: EntryPlace;
  readonly entry: Entry;
  readonly made: Made;
  readonly before: ActorView | undefined;
}

export class Looks {
  readonly steps: Look[] = [];
  readonly #actors: ActorTable;
  readonly #place: Pick<EntryPlace, 'seq' | 'shard'>;
  #before: ActorView | undefined;
  #mail = 0;
  #effects = 0;
  #timers = 0;

  constructor(actors: ActorTable, place: Pick<EntryPlace, 'seq' | 'shard'>) {
    this.#actors = actors;
    this.#place = place;
  }

  before({ actor }: Entry, { mail, effects, timers }: Draft): void {
    this.#before = viewOf(this.#actors, actor);
    this.#mail = mail.length;
    this.#effects = effects.length;
    this.#timers = timers.length;
  }

  after(entry: Entry, { index, at, entries, mail, effects, timers }: Draft): void {
    const n = this.steps.length;
    const now = entries[n];
    const after = viewOf(this.#actors, entry.actor);
    const made: Made = {
      ...(now !== undefined && outcomeOf(now)),
      ...(after !== undefined && { after }),
      mail: mail.slice(this.#mail),
      effects: effects.slice(this.#effects),
      timers: timers.slice(this.#timers),
    };
    this.steps.push({ at: { ...this.#place, index, n, at }, entry, made, before: this.#before });
  }
}
