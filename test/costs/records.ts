/** Cost records of tests. */
import { amountMicros } from '#machines/costs/amount';
import { type CostRecord, costRecordSchema, type Tokens } from '#schemas/cost';

export const NOW = Date.parse('2026-03-01T00:00:00Z');
const PRICE = {
  row: 'openai/large-1@2026-01-01',
  currency: 'USD',
  perMillion: { input: 2_500_000, cachedInput: 250_000, output: 10_000_000 },
};

export function recordOf(
  id: string,
  more: Partial<Omit<CostRecord, 'tokens'>> & { readonly tokens?: Partial<Tokens> } = {},
): CostRecord {
  const record = costRecordSchema.parse({
    id,
    at: NOW,
    source: 'client',
    provider: 'openai',
    model: 'large-1',
    counted: 'provider',
    price: PRICE,
    amountMicros: 0,
    session: 'a',
    task: null,
    swarm: null,
    trace: null,
    ...more,
    tokens: more.tokens ?? { input: 1_000, output: 100 },
  });
  if (record.price === null || more.amountMicros !== undefined) return record;
  return { ...record, amountMicros: amountMicros(record.tokens, record.price.perMillion) ?? null };
}
