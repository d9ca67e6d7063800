/** What goes wrong with policies. */
import { errorKinds } from '#schemas/fabric-error';

export const policyErrors = errorKinds({
  bad_policy: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/policy.md shows every key.',
  },
  policy_file_unreadable: { retryable: false, help: 'Name a file that is there, relative to this folder.' },
});
