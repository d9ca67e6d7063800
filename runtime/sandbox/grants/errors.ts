/** Why a call of a guest to the world is refused. The guest sees the code and the message, and goes on. */
import { errorKinds } from '#schemas/fabric-error';

export const grantErrors = errorKinds({
  grant_expired: {
    retryable: false,
    help: 'The grant of the task has run out: raise `ttlMs` in the contract and the task, or do it sooner.',
  },
  grant_revoked: {
    retryable: false,
    help: 'Somebody took the grant of the task back: `infrafabric chassis show ID`.',
  },
  grant_denied: {
    retryable: false,
    help: 'List it in the `grant` of the contract and of the task: what is not listed is refused.',
  },
  grant_quota_exceeded: {
    retryable: false,
    help: 'Raise the quota in the `grant` of the contract and of the task.',
  },
  grant_bad_call: {
    retryable: false,
    help: 'The call itself is malformed: keys, event names, addresses and URLs have one plain spelling.',
  },
});
