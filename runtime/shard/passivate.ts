/** Lets go of idle actors that a snapshot holds; the next message brings them back. */
import { type ActorTable, type Cell, isIdle, NOWHERE } from './table.ts';

/** Enough to tell the oldest share of many actors within a few percent. */
const SAMPLE_SIZE = 1_024;

/**
 * Passivates actors idle since before `idleBefore`, and beyond `residentMax` the least recently used, told apart by
 * a sample: one pass, no sort of a million actors between two commits.
 */
export function passivate(
  actors: ActorTable,
  options: { readonly residentMax: number; readonly idleBefore: number },
): number {
  const excess = actors.resident - options.residentMax;
  const before = Math.max(
    options.idleBefore,
    excess > 0 ? touchedBefore(actors, excess / actors.resident) : 0,
  );
  let count = 0;
  for (const cell of actors.cells()) {
    if (!isStored(cell) || cell.touchedAt > before) continue;
    if (cell.touchedAt >= options.idleBefore && count >= excess) continue;
    actors.putCold(cell.address, cell.location);
    count += 1;
  }
  return count;
}

function isStored(cell: Cell): boolean {
  return cell.location !== NOWHERE && isIdle(cell);
}

/** The time before which about this share of the resident actors were last touched. */
function touchedBefore(actors: ActorTable, share: number): number {
  const stride = Math.max(1, Math.floor(actors.resident / SAMPLE_SIZE));
  const times: number[] = [];
  let n = 0;
  for (const cell of actors.cells()) if (n++ % stride === 0) times.push(cell.touchedAt);
  times.sort((a, b) => a - b);
  return times[Math.min(times.length - 1, Math.ceil(times.length * share))] ?? 0;
}
