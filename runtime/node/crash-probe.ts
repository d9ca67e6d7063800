/** For tests of what a crash costs: ends the process, as SIGKILL does, at the nth pass of a point of the loop. */
import type { CrashPoint } from '#runtime/shard/shard';

/** `INFRAFABRIC_CRASH_AT=after_commit:3`; undefined where it is not set. */
export function crashProbe(env: NodeJS.ProcessEnv): ((point: CrashPoint) => void) | undefined {
  const wanted = env['INFRAFABRIC_CRASH_AT'];
  if (wanted === undefined) return undefined;
  const [at, count = '1'] = wanted.split(':');
  let left = Number(count);
  return (point) => {
    if (point !== at) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  };
}
