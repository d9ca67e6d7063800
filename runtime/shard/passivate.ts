/** Lets go of idle actors that a snapshot holds; the next message brings them back. */
import { type ActorTable, isIdle, NOWHERE } from './table.ts';

export function passivate(
  actors: ActorTable,
  options: { readonly residentMax: number; readonly idleBefore: number },
): number {
  let excess = actors.resident - options.residentMax;
  let count = 0;
  for (const cell of actors.cells()) {
    if (cell.location === NOWHERE || !isIdle(cell)) continue;
    if (excess <= 0 && cell.touchedAt >= options.idleBefore) continue;
    actors.putCold(cell.address, cell.location);
    excess -= 1;
    count += 1;
  }
  return count;
}
