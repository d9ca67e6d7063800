/** A progress bar over commits of the log, on stderr in a terminal; nothing elsewhere. */
import { SingleBar } from 'cli-progress';
import type { Io, Out } from './io.ts';

const REDRAWS_PER_SECOND = 5;

/** How far something in the log has come, in commits. */
export interface LogProgress {
  reach(commits: number): void;
  stop(): void;
}

/** A bar from so many commits on; fewer are done before it could be read. */
const LOG_BAR_COMMITS_MIN = 10_000;

/** `what` names what goes on. */
export function logProgress(io: Io, out: Out, total: number, what: string): LogProgress {
  if (total < LOG_BAR_COMMITS_MIN || io.stderr.isTTY !== true || out.json) {
    return { reach: () => {}, stop: () => {} };
  }
  const bar = new SingleBar({
    format: `${what} {bar} {percentage}% · {value} of {total} commits · {eta_formatted} left`,
    barCompleteChar: '━',
    barIncompleteChar: out.palette.faint('─'),
    barsize: 30,
    fps: REDRAWS_PER_SECOND,
    stream: io.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(total, 0);
  return { reach: (commits) => bar.update(Math.min(commits, total)), stop: () => bar.stop() };
}
