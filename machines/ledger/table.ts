/**
 * Rows by id as plain data, in parts of which a step copies one: a state with a thousand rows changes as fast as one with
 * fifty. Rows keep their places, so that what did not change is known by that and not looked at again.
 */

export interface Identified {
  readonly id: string;
}

export type Table<Row extends Identified> = readonly (readonly Row[])[];

/** With so many parts for as long as it lives. */
export function emptyTable(parts: number): Table<never> {
  return Array.from({ length: parts }, () => []);
}

export function rowOf<Row extends Identified>(table: Table<Row>, id: string): Row | undefined {
  return table[partOf(table, id)]?.find((row) => row.id === id);
}

/** With rows put in or replaced. */
export function withRows<Row extends Identified>(table: Table<Row>, rows: readonly Row[]): Table<Row> {
  const parts = [...table];
  for (const row of rows) {
    const at = partOf(table, row.id);
    const part = parts[at] ?? [];
    const index = part.findIndex(({ id }) => id === row.id);
    parts[at] = index < 0 ? [...part, row] : part.with(index, row);
  }
  return parts;
}

/** With a row put in; the oldest of a full part gives its place. */
export function withNewest<Row extends Identified & { readonly n: number }>(
  table: Table<Row>,
  row: Row,
  partMax: number,
): Table<Row> {
  const at = partOf(table, row.id);
  const part = table[at] ?? [];
  if (part.length < partMax) return table.with(at, [...part, row]);
  let oldest = 0;
  for (const [index, { n }] of part.entries()) if (n < (part[oldest]?.n ?? 0)) oldest = index;
  return table.with(at, part.with(oldest, row));
}

/** The last row of its part takes the place of the one that goes. */
export function withoutRow<Row extends Identified>(table: Table<Row>, id: string): Table<Row> {
  const at = partOf(table, id);
  const part = table[at] ?? [];
  const index = part.findIndex((row) => row.id === id);
  const last = part.at(-1);
  if (index < 0 || last === undefined) return table;
  const kept = part.slice(0, -1);
  return table.with(at, index < kept.length ? kept.with(index, last) : kept);
}

export function rowsOf<Row extends Identified>(table: Table<Row>): readonly Row[] {
  return table.flat();
}

/** FNV-1a. */
function partOf({ length }: Table<Identified>, id: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at += 1) {
    hash ^= id.charCodeAt(at);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % length;
}
