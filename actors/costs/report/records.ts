/** Cost records as they stand in the log: those that books took, each once. */
import type { LogItem } from '#runtime/cli/render/log';
import { record as fieldsOf } from '#runtime/index/facets';
import { COSTS_TYPE, type CostRecord, costRecordSchema } from '#schemas/cost';

/** Times of use, ms since the epoch; `until` is not included. */
export interface Span {
  readonly since?: number;
  readonly until?: number;
}

/** Adds what an entry holds; the first of an id counts. */
export class Records {
  readonly #found = new Map<string, CostRecord>();
  readonly #span: Span;

  constructor(span: Span = {}) {
    this.#span = span;
  }

  add({ entry }: Pick<LogItem, 'entry'>): void {
    const event = fieldsOf(entry.event);
    if (!entry.actor.startsWith(`${COSTS_TYPE}/`) || event?.['type'] !== 'costs.record') return;
    if (fieldsOf(entry.reply)?.['accepted'] !== true) return;
    const { success, data } = costRecordSchema.safeParse(event['record']);
    if (!success || this.#found.has(data.id)) return;
    const { since = 0, until = Number.POSITIVE_INFINITY } = this.#span;
    if (data.at >= since && data.at < until) this.#found.set(data.id, data);
  }

  /** In the order of their use. */
  get all(): readonly CostRecord[] {
    return [...this.#found.values()].sort((a, b) => a.at - b.at);
  }
}
