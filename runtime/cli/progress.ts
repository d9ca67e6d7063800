/** A progress bar on stderr while something long runs in a terminal; nothing elsewhere. */
import { SingleBar } from 'cli-progress';
import type { Io, Out } from './io.ts';

export interface Progress {
  advance(bytes: number, sent: number): void;
  stop(): void;
}

const REDRAWS_PER_SECOND = 5;
const SILENT: Progress = { advance: () => {}, stop: () => {} };

/** `total` bytes, or whatever is counted; without a total, or a terminal, there is no bar. `what` names what has come of it. */
export function progress(io: Io, out: Out, total: number | undefined, what = 'sent'): Progress {
  if (total === undefined || io.stderr.isTTY !== true || out.json) return SILENT;
  const bar = new SingleBar({
    format: `{bar} {percentage}% · {sent} ${what} · {eta_formatted} left`,
    barCompleteChar: '━',
    barIncompleteChar: out.palette.faint('─'),
    barsize: 30,
    fps: REDRAWS_PER_SECOND,
    stream: io.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(total, 0, { sent: 0 });
  let open = true;
  return {
    advance: (bytes, sent) => bar.increment(bytes, { sent }),
    stop: () => {
      if (open) bar.stop();
      open = false;
    },
  };
}
