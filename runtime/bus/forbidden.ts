/** What the server refuses because of who asks. */
import { PermissionViolationError } from '@nats-io/nats-core';

export function isForbidden(error: unknown): boolean {
  return (
    error instanceof PermissionViolationError ||
    (error instanceof Error && error.cause instanceof PermissionViolationError)
  );
}
