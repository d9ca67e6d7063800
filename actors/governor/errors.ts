/** What goes wrong with the governor’s clients and commands, beside what its actors themselves refuse. */
import { errorKinds } from '#schemas/fabric-error';

export const governorErrors = errorKinds({
  bad_zone: {
    retryable: false,
    help: 'Name a time zone of the IANA database, such as Europe/Berlin or UTC.',
  },
  bad_ledger: { retryable: false, help: 'The kind runs another machine than the governor’s.' },
});
