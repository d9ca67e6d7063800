/** What is kept of a sandboxed task. */
import type { SandboxView } from '#schemas/sandbox';

/** All of it is shown to whoever may look at it. */
export function initialSandbox(_input: unknown, self: string): SandboxView {
  const id = self.slice(self.indexOf('/') + 1);
  return {
    id,
    status: 'absent',
    of: `component/${id.slice(0, Math.max(0, id.lastIndexOf('.')))}`,
    task: null,
    revoked: null,
    attempts: 0,
    run: null,
    reason: null,
    queuedAt: null,
    retryAt: null,
    endedAt: null,
  };
}
