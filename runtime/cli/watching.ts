/** Shows something once, or again and again until Ctrl-C: in place on a terminal, one after the other elsewhere. */
import { setTimeout as pause } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import type { Io, Out } from './io.ts';

const LOOK_EVERY_MS = 1_000;

export async function watching(
  { io, out, again }: { readonly io: Io; readonly out: Out; readonly again: boolean },
  look: () => Promise<readonly string[]>,
): Promise<void> {
  if (!again) {
    out.lines(await look());
    return;
  }
  const draw = out.live ? createLogUpdate(io.stdout as NodeJS.WriteStream) : undefined;
  try {
    while (!io.signal.aborted) {
      const lines = await look();
      if (draw === undefined) out.lines(lines);
      else draw(lines.join('\n'));
      await pause(LOOK_EVERY_MS, undefined, { signal: io.signal });
    }
  } finally {
    draw?.done();
  }
}
