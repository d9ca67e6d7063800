import { errorKinds } from '#schemas/fabric-error';

export const claimErrors = errorKinds({
  lease_bad_request: {
    retryable: false,
    help: 'A request is {op: create | update | remove | get}, with value, revision and ttlMs as docs/coordinator.md says.',
  },
  lease_not_yours: { retryable: false, help: 'A lease is written by its holder only.' },
  leases_away: { retryable: true, help: 'Is a node up? It makes the bucket anew within a second.' },
  leases_unopened: { retryable: true, help: 'The node is starting; the effect is tried again.' },
});
