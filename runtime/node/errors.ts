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
});
