/** Costs for who has a client: what was used goes in, priced by the realm's table; sums come out. */
import { amountMicros } from '#machines/costs/amount';
import type { Client } from '#runtime/client/client';
import { isActorId } from '#schemas/address';
import {
  type BookView,
  COSTS_DEFAULT,
  COSTS_TYPE,
  type CostRecord,
  type CostsReply,
  costRecordSchema,
  type Tokens,
  tokensSchema,
} from '#schemas/cost';
import { FabricError } from '#schemas/fabric-error';
import type { PriceRow, PriceTable } from '#schemas/price';
import { SESSION_TYPE } from '#schemas/session';
import { costErrors } from './errors.ts';
import { PriceList } from './price-list.ts';

/** Tokens that somebody used. */
export interface Usage {
  readonly provider: string;
  readonly model: string;
  readonly tokens: Partial<Tokens>;
  /** Counts once, however often it is recorded: the provider’s id of the answer, say. Made up when absent. */
  readonly id?: string;
  /** ms since the epoch; now when absent. */
  readonly at?: number;
  /** Id of the session; who acts when absent. */
  readonly session?: string;
  readonly task?: string;
  readonly swarm?: string;
  /** W3C traceparent, or the id in it. */
  readonly trace?: string;
  readonly source?: CostRecord['source'];
  readonly counted?: CostRecord['counted'];
  readonly outcome?: CostRecord['outcome'];
  /** The row to count by, where that was settled before. */
  readonly row?: PriceRow;
}

export interface Recorded {
  readonly record: CostRecord;
  /** It was counted before. */
  readonly known: boolean;
  /** Why it has no price; it is recorded as unpriced then. */
  readonly unpriced?: { readonly code: 'unknown_model' | 'no_price_then'; readonly reason: string };
}

export interface CostsClient extends Disposable {
  /** Resolves once it is stored. Throws `cost_refused`. */
  record(usage: Usage): Promise<Recorded>;
  /** Sums of a book: the id of a swarm, or `main`. Throws `unknown_costs`. */
  book(id?: string): Promise<BookView>;
  prices(): Promise<PriceTable>;
}

const TRACE = /(?:^|-)([0-9a-f]{32})(?:-|$)/;

/** `list`: one that is open already; it is left open. */
export function openCosts(client: Client, list?: PriceList): CostsClient {
  const prices = list ?? new PriceList(client);
  return {
    async record(usage) {
      const quoted =
        usage.row === undefined
          ? await prices.quote(usage.provider, usage.model, usage.at ?? Date.now())
          : ({ found: true, row: usage.row } as const);
      const record = recordOf(usage, quoted.found ? quoted.row : undefined, client.from);
      const event = { type: 'costs.record', record };
      // C1: the same id for the kernel, too.
      const options = {
        id: `cost.${record.id}`,
        ...(usage.trace !== undefined && usage.trace.length > 32 && { traceparent: usage.trace }),
      };
      const reply = (await client.ask(`${COSTS_TYPE}/${bookOf(record)}`, event, options)).reply as CostsReply;
      if (!reply.accepted)
        throw new FabricError(costErrors.cost_refused, `${record.id}: ${reply.reason}`, {
          details: { code: reply.code, record: record.id },
        });
      if (quoted.found) return { record, known: reply.known };
      return { record, known: reply.known, unpriced: { code: quoted.code, reason: quoted.reason } };
    },
    book: async (id = COSTS_DEFAULT) =>
      (await client.ask(`${COSTS_TYPE}/${id}`, { type: 'costs.get' })).reply as BookView,
    prices: () => prices.table(),
    [Symbol.dispose]: () => {
      if (list === undefined) prices[Symbol.dispose]();
    },
  };
}

/** The book of its swarm. */
export function bookOf({ swarm }: Pick<CostRecord, 'swarm'>): string {
  return swarm !== null && isActorId(swarm) ? swarm : COSTS_DEFAULT;
}

/** Throws `cost_refused` for what is no usage. */
function recordOf(usage: Usage, row: PriceRow | undefined, from: string): CostRecord {
  const tokens = tokensSchema.safeParse(usage.tokens);
  if (!tokens.success)
    throw new FabricError(costErrors.cost_refused, `these are no counts of tokens: ${tokens.error.message}`);
  const amount = row === undefined ? null : amountMicros(tokens.data, row.perMillion);
  if (amount === undefined) throw new FabricError(costErrors.sum_not_exact, 'no record costs so much');
  const own = from.startsWith(`${SESSION_TYPE}/`) ? from.slice(SESSION_TYPE.length + 1) : null;
  const parsed = costRecordSchema.safeParse({
    id: usage.id ?? crypto.randomUUID(),
    at: usage.at ?? Date.now(),
    source: usage.source ?? 'client',
    provider: usage.provider,
    model: usage.model,
    tokens: tokens.data,
    counted: usage.counted ?? 'reported',
    price: row === undefined ? null : { row: row.id, currency: row.currency, perMillion: row.perMillion },
    amountMicros: amount,
    session: usage.session ?? own,
    task: usage.task ?? null,
    swarm: usage.swarm ?? null,
    trace: TRACE.exec(usage.trace ?? '')?.[1] ?? null,
    outcome: usage.outcome ?? 'complete',
  } satisfies CostRecord);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FabricError(costErrors.cost_refused, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}
