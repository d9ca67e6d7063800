/** What goes wrong with webhooks. */
import { errorKinds } from '#schemas/fabric-error';

export const webhookErrors = errorKinds({
  webhook_secret_missing: {
    retryable: false,
    help: 'Put the secret into the file that `secretFile` names: `openssl rand -base64 32 > FILE && chmod 600 FILE`.',
  },
  webhook_secret_open: { retryable: false, help: 'Others may read the secret: chmod 600 the file.' },
  webhook_secret_bad: {
    retryable: false,
    help: 'The secret is too short: `openssl rand -base64 32` makes one.',
  },
  webhook_refused: {
    retryable: false,
    help: 'The receiver refuses this event for good; it is skipped. See details.status.',
  },
});
