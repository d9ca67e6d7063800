/** Walking through steps in a terminal: one at a time, forwards and back. */
import { emitKeypressEvents } from 'node:readline';
import type { ReplayStep } from '#runtime/replay/report';
import type { Io } from './io.ts';
import { type Place, stepLines } from './render/replay.ts';

interface Key {
  readonly name?: string;
  readonly ctrl?: boolean;
}

/** Resolves when the user leaves, or the command is interrupted. */
export async function showSteps(steps: readonly ReplayStep[], io: Io, place: Place): Promise<void> {
  const stdin = io.stdin as NodeJS.ReadStream;
  const left = Promise.withResolvers<void>();
  let at = 0;
  const draw = (): void => {
    const step = steps[at];
    if (step === undefined) return;
    const help = `${at + 1} of ${steps.length} · n next · p previous · home end · q quit`;
    io.stdout.write(
      `\u001b[2J\u001b[H${stepLines(step, place).join('\n')}\n\n${place.palette.faint(help)}\n`,
    );
  };
  const take = (_: string | undefined, { name, ctrl = false }: Key): void => {
    if (name === 'q' || name === 'escape' || (ctrl && name === 'c')) left.resolve();
    else if (name === 'n' || name === 'space' || name === 'return' || name === 'right' || name === 'down') {
      at = Math.min(at + 1, steps.length - 1);
    } else if (name === 'p' || name === 'left' || name === 'up') at = Math.max(at - 1, 0);
    else if (name === 'home') at = 0;
    else if (name === 'end') at = steps.length - 1;
    draw();
  };
  const stop = (): void => left.resolve();
  emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  stdin.on('keypress', take);
  io.signal.addEventListener('abort', stop, { once: true });
  try {
    stdin.resume();
    draw();
    await left.promise;
  } finally {
    io.signal.removeEventListener('abort', stop);
    stdin.off('keypress', take);
    stdin.setRawMode(false);
    stdin.pause();
  }
}
