import { errorKinds } from '#schemas/fabric-error';

export const claimErrors = errorKinds({
  lease_bad_request: {
    retryable: false,
    help: 'A request is {op: create | update | remove | get}, with value, revision and ttlMs as docs/coordinator.md says.',
  },
  lease_not_yours: {
    retryable: false,
    help: 'A lease is written by its holder only, and begun on a task by the worker whom the task names: claim it first.',
  },
  lease_unchecked: { retryable: true, help: 'Its shard is on its way to another node, or no node is up.' },
  leases_away: { retryable: true, help: 'Is a node up? It makes the bucket anew within a second.' },
  leases_unopened: { retryable: true, help: 'The node is starting; the effect is tried again.' },
});
