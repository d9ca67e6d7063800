/** What goes wrong with policies. */
import { errorKinds } from '#schemas/fabric-error';

export const policyErrors = errorKinds({
  bad_policy: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/policy.md shows every key.',
  },
  policy_file_unreadable: { retryable: false, help: 'Name a file that is there, relative to this folder.' },
  policy_denied: {
    retryable: false,
    help: 'The details name the rules that decided: `infrafabric policy show` has their text, and who may change it.',
  },
  policy_facts_missing: { retryable: true, help: 'The node is starting; ask again.' },
  policy_unreadable: {
    retryable: false,
    help: 'The log of the node says what it cannot read: bring it to the version of the others, or apply a policy that it can.',
  },
  policy_not_installed: { retryable: true, help: 'It is tried again by itself.' },
  bad_request: { retryable: false, help: 'docs/schemas/policy-request.json says what a request may have.' },
  policy_not_there: {
    retryable: false,
    help: 'Give the realm the kind: `kinds: { policy: { machine: policy, door: open, spawnOnMessage: true } }`.',
  },
  too_many_held: {
    retryable: true,
    help: 'Have those that wait answered first: `infrafabric approve list` shows them.',
  },
  policy_refused: { retryable: false, help: 'The version before stays in force; mend what is named.' },
});
