/**
 * The realm's price table at hand: read once, and again when it changed.
 *
 * B1  A price that is not found is looked for in a table read anew before it counts as unknown.
 */
import type { Subscription } from '@nats-io/nats-core';
import { quote } from '#machines/prices/table';
import { Subjects } from '#runtime/bus/subjects';
import type { Client } from '#runtime/client/client';
import {
  PRICES_DEFAULT,
  PRICES_TYPE,
  type PricePage,
  type PriceRow,
  type PriceTable,
  type Quote,
} from '#schemas/price';

export const PRICES_ADDRESS = `${PRICES_TYPE}/${PRICES_DEFAULT}`;
/** Live events may be lost with a connection: a table is never older than this. */
const AGE_MS_MAX = 60_000;

/** The whole table, of one revision. */
export async function readTable(client: Client): Promise<PriceTable> {
  const rows: PriceRow[] = [];
  let revision: number | undefined;
  for (let skip: number | null = 0; skip !== null; ) {
    const page = (await client.ask(PRICES_ADDRESS, { type: 'price.get', skip })).reply as PricePage;
    if (revision !== undefined && page.revision !== revision) {
      // Changed meanwhile.
      rows.length = 0;
      [revision, skip] = [undefined, 0];
      continue;
    }
    revision = page.revision;
    rows.push(...page.rows);
    skip = page.next;
  }
  return { revision: revision ?? 0, rows };
}

export class PriceList implements Disposable {
  readonly #client: Client;
  readonly #subscription: Subscription;
  #table: Promise<PriceTable> | undefined;
  #readAt = 0;

  constructor(client: Client) {
    this.#client = client;
    const events = new Subjects(client.prefix, 1).eventsOf(PRICES_TYPE, PRICES_DEFAULT);
    this.#subscription = client.connection.subscribe(events, { callback: () => this.#forget() });
  }

  async table(): Promise<PriceTable> {
    if (this.#table === undefined || Date.now() - this.#readAt > AGE_MS_MAX) {
      this.#readAt = Date.now();
      const asked = this.#read();
      this.#table = asked;
      asked.catch(() => this.#forget());
    }
    return await this.#table;
  }

  /** What a model costs at a moment. */
  async quote(provider: string, model: string, at: number): Promise<Quote> {
    const found = quote((await this.table()).rows, provider, model, at);
    if (found.found || this.#readAt > Date.now() - 1_000) return found;
    this.#forget(); // B1
    return quote((await this.table()).rows, provider, model, at);
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
  }

  async #read(): Promise<PriceTable> {
    return await readTable(this.#client);
  }

  #forget(): void {
    this.#table = undefined;
  }
}
