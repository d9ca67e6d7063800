/**
 * Loaded into a measured process before its program: tells its CPU time and memory to the parent that asks. Plain
 * JavaScript: what strips types would be loaded for it alone, and count.
 */

process.on(
  'message',
  /** @param {import('./process.ts').Question} question */ (question) => {
    if (question === 'usage after gc') globalThis.gc?.();
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed, external } = process.memoryUsage();
    /** @type {import('./process.ts').Usage} */
    const usage = { cpuUs: user + system, rssBytes: rss, heapBytes: heapUsed + external };
    process.send?.(usage);
  },
);
// The channel must not keep the process alive.
process.channel?.unref();
