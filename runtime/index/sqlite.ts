/** Node's own SQLite. Node 22 warns that it is experimental: that one warning, and no other, is not shown. */
import type * as Sqlite from 'node:sqlite';
import { FabricError } from '#schemas/fabric-error';
import { indexErrors } from './errors.ts';

/** SQLite's result codes for a file that is damaged, or is no database. */
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

/** Throws `sqlite_missing`. */
export function sqlite(): typeof Sqlite {
  const { emitWarning } = process;
  const others = (...args: readonly unknown[]): void => {
    const isOurs = args[1] === 'ExperimentalWarning' && String(args[0]).startsWith('SQLite is');
    if (!isOurs) Reflect.apply(emitWarning, process, args);
  };
  process.emitWarning = others;
  try {
    const found = process.getBuiltinModule('node:sqlite') as typeof Sqlite | undefined;
    if (found === undefined) throw new FabricError(indexErrors.sqlite_missing, 'This Node has no SQLite');
    return found;
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Whether SQLite says that the file cannot be trusted. */
export function isCorrupt(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error)) return false;
  // The low byte is the kind, the rest says more of it.
  return [CORRUPT, NOT_A_DATABASE].includes(Number(error.errcode) & 0xff);
}
