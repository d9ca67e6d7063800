/** What goes wrong between an operator and a node. */
import { errorKinds } from '#schemas/fabric-error';

export const nodeErrors = errorKinds({
  realm_unreachable: {
    retryable: true,
    help: 'Is the realm up? `infrafabric up` starts it, `infrafabric doctor` says what is missing.',
  },
  api_bad_reply: {
    retryable: false,
    help: 'The node speaks another version of the admin API: use the same release on both sides.',
  },
  api_bad_request: { retryable: false, help: 'See docs/subjects.md for what the admin API takes.' },
  actor_absent: { retryable: false, help: '`infrafabric ps` lists what lives.' },
  not_root_owner: { retryable: true, help: 'Retry: the request goes to the node that owns it.' },
  bad_driver: {
    retryable: false,
    help: 'A driver is {name, run(call)}, or a function from its options to one.',
  },
  shard_failed: {
    retryable: false,
    help: 'The shard cannot be recovered on this node; its error says why. The other shards go on.',
  },
});
