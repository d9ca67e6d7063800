/** Loaded into a measured process before its program: tells its CPU time and memory to the parent that asks. */

export interface Usage {
  /** User and system, since the start. */
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** JavaScript heap and the buffers it holds. */
  readonly heapBytes: number;
}

export type Question = 'usage' | 'usage after gc';

process.on('message', (question: Question) => {
  if (question === 'usage after gc') globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  process.send?.({ cpuUs: user + system, rssBytes: rss, heapBytes: heapUsed + external } satisfies Usage);
});
// The channel must not keep the process alive.
process.channel?.unref();
