/**
 * Rows by id as plain data, of which a step copies one part in sixty-four: a state with a thousand rows changes as fast as
 * one with twenty, and what did not change is not looked at again.
 */

export interface Identified {
  readonly id: string;
}

export type Table<Row extends Identified> = readonly (readonly Row[])[];

const PARTS = 64;

export function emptyTable(): Table<never> {
  return Array.from({ length: PARTS }, () => []);
}

export function rowOf<Row extends Identified>(table: Table<Row>, id: string): Row | undefined {
  return table[partOf(id)]?.find((row) => row.id === id);
}

/** With a row put in or replaced. `partMax` drops the oldest rows of a part that has more. */
export function withRow<Row extends Identified>(
  table: Table<Row>,
  row: Row,
  partMax = Number.POSITIVE_INFINITY,
): Table<Row> {
  const at = partOf(row.id);
  const part = table[at] ?? [];
  const index = part.findIndex(({ id }) => id === row.id);
  const next = index < 0 ? [...part, row] : part.with(index, row);
  return table.with(at, next.length > partMax ? next.slice(next.length - partMax) : next);
}

export function withoutRow<Row extends Identified>(table: Table<Row>, id: string): Table<Row> {
  const at = partOf(id);
  return table.with(
    at,
    (table[at] ?? []).filter((row) => row.id !== id),
  );
}

export function rowsOf<Row extends Identified>(table: Table<Row>): readonly Row[] {
  return table.flat();
}

/** FNV-1a. */
function partOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at += 1) {
    hash ^= id.charCodeAt(at);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % PARTS;
}
