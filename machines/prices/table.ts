/**
 * A price table as one asks it. Pure.
 *
 * T1  A name (of a model or an alias) means one model of its provider, and a model has one price at any moment.
 * T2  A row holds from its `from` until its `until`, or until the next row of its model begins.
 * T3  An exact name goes before an alias with a star, a longer beginning before a shorter one.
 */
import type { PriceRow, Quote } from '#schemas/price';

/** What one pays for a model at a moment. */
export function quote(rows: readonly PriceRow[], provider: string, model: string, at: number): Quote {
  const named = meant(
    rows.filter((row) => row.provider === provider),
    model,
  );
  if (named === undefined) {
    const reason = `the price table has no model ${model} of ${provider}`;
    return { found: false, code: 'unknown_model', reason };
  }
  let best: PriceRow | undefined;
  for (const row of rows) {
    if (row.provider !== provider || row.model !== named || row.from > at) continue;
    if (best === undefined || row.from > best.from) best = row; // T2
  }
  if (best !== undefined && (best.until === null || at < best.until)) return { found: true, row: best };
  const then = new Date(at).toISOString();
  const reason = `the price table has no price of ${provider}/${named} at ${then}`;
  return { found: false, code: 'no_price_then', reason };
}

/** Everything about rows that cannot be, by their place in the list. */
export function conflictsOf(rows: readonly PriceRow[]): { readonly n: number; readonly what: string }[] {
  const found: { readonly n: number; readonly what: string }[] = [];
  const owners = new Map<string, string>();
  for (const [n, row] of rows.entries()) {
    if (row.until !== null && row.until <= row.from)
      found.push({ n, what: `${row.id} ends before it begins` });
    for (const name of [row.model, ...row.aliases]) {
      const key = `${row.provider} ${name}`;
      const owner = owners.get(key) ?? row.model;
      owners.set(key, owner);
      if (owner !== row.model)
        found.push({ n, what: `"${name}" is a name of ${row.provider}/${owner} already` });
    }
  }
  const models = Map.groupBy(rows.entries(), ([, { provider, model }]) => `${provider} ${model}`);
  for (const entries of models.values()) {
    const sorted = entries.toSorted(([, a], [, b]) => a.from - b.from);
    for (const [at, [n, row]] of sorted.entries()) {
      const before = sorted[at - 1]?.[1];
      if (before === undefined) continue;
      if (before.from === row.from || (before.until !== null && before.until > row.from))
        found.push({ n, what: `${row.id} overlaps ${before.id}` });
    }
  }
  return found;
}

/** By provider, model and time. */
export function sorted(rows: Iterable<PriceRow>): PriceRow[] {
  return [...rows].sort(
    (a, b) => compare(a.provider, b.provider) || compare(a.model, b.model) || a.from - b.from,
  );
}

/** T3: the model that a name means. */
function meant(rows: readonly PriceRow[], name: string): string | undefined {
  const exact = rows.find((row) => row.model === name || row.aliases.includes(name));
  if (exact !== undefined) return exact.model;
  let found: { readonly model: string; readonly length: number } | undefined;
  for (const { model, aliases } of rows) {
    for (const alias of aliases) {
      const isIt = alias.endsWith('*') && name.startsWith(alias.slice(0, -1));
      if (isIt && alias.length > (found?.length ?? 0)) found = { model, length: alias.length };
    }
  }
  return found?.model;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
