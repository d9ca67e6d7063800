import { errorKinds } from '#schemas/fabric-error';

export const memberErrors = errorKinds({
  shard_unowned: {
    retryable: true,
    help: 'Its node has gone and another takes over within seconds; retry with the same message id.',
  },
  shard_unplaced: {
    retryable: true,
    help: '`infrafabric shards` says why each node cannot run the shard; start one that can.',
  },
  node_unknown: { retryable: false, help: '`infrafabric nodes` lists the nodes of the realm.' },
  bad_node_name: {
    retryable: false,
    help: 'Name a node with letters, digits, _ and -, 63 at most; two nodes never have the same name.',
  },
  bad_label: { retryable: false, help: 'Write labels as name or name=value: letters, digits and . _ / -.' },
});
