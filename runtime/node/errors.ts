/** What goes wrong between an operator and a node. */
import { errorKinds } from '#schemas/fabric-error';

export const nodeErrors = errorKinds({
  realm_unreachable: {
    retryable: true,
    help: 'Is the realm up? `infrafabric up` starts it, `infrafabric doctor` says what is missing.',
  },
  api_refused: {
    retryable: false,
    help: 'This key has no right to it: sign on with that of an operator or an auditor, --nkey FILE.',
  },
  api_bad_reply: {
    retryable: false,
    help: 'The node speaks another version of the admin API: use the same release on both sides.',
  },
  api_bad_request: { retryable: false, help: 'See docs/subjects.md for what the admin API takes.' },
  actor_absent: { retryable: false, help: '`infrafabric ps` lists what lives.' },
  not_root_owner: { retryable: true, help: 'Retry: the request goes to the node that owns it.' },
  nodes_behind: {
    retryable: true,
    help: 'Start every node with the new machines first, or drain those that are to stay behind: see docs/nodes.md.',
  },
  realm_running: {
    retryable: true,
    help: 'Stop every node of the realm first: `infrafabric down`, or `infrafabric nodes` to find them.',
  },
  realm_busy: {
    retryable: true,
    help: 'Start the realm, let it handle what waits (`infrafabric shards` shows it), stop it, and try again.',
  },
  reshard_incomplete: {
    retryable: false,
    help: 'Nothing has changed: the realm goes on with the shards it has. Please report this.',
  },
  bad_driver: {
    retryable: false,
    help: 'A driver is {name, run(call)}, or a function from its options to one.',
  },
  join_missing: {
    retryable: false,
    help: 'Start it with --join as before, or with another --data folder for a realm of its own.',
  },
  shard_failed: {
    retryable: false,
    help: 'The shard cannot be recovered on this node; its error says why. The other shards go on.',
  },
});
