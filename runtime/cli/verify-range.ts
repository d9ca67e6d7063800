/** Whether a range that somebody names holds anything: a check that read nothing must not look like one that passed. */
import type { LogRange } from '#runtime/witness/log-reader';
import { FabricError } from '#schemas/fabric-error';
import { cliErrors } from './errors.ts';

export interface AskedRange {
  readonly from?: number;
  readonly to?: number;
}

/** Throws `empty_range`. */
export function refuseEmptyRange(asked: AskedRange, held: LogRange, holder: 'log' | 'bundle'): void {
  const problem = emptyRange(asked, held, holder);
  if (problem === undefined) return;
  throw new FabricError(cliErrors.empty_range, problem, { details: { ...asked, ...held } });
}

/** Why a range holds no commit of `first` to `last`; undefined where it holds one. */
export function emptyRange(
  { from, to }: AskedRange,
  { first, last }: LogRange,
  holder: 'log' | 'bundle',
): string | undefined {
  if (from !== undefined && to !== undefined && from > to) return `--from ${from} is past --to ${to}`;
  if (from !== undefined && from > last)
    return `--from ${from} is past the end: the ${holder} ends at ${last}`;
  if (to !== undefined && to < first)
    return `--to ${to} is before the beginning: the ${holder} begins at ${first}`;
  return undefined;
}
