/** What goes wrong with the governor’s clients and commands, beside what its actors themselves refuse. */
import { errorKinds } from '#schemas/fabric-error';

export const governorErrors = errorKinds({
  bad_zone: {
    retryable: false,
    help: 'Name a time zone of the IANA database, such as Europe/Berlin or UTC.',
  },
  bad_degrade: { retryable: false, help: 'Write queue, model:NAME, or none.' },
  reason_missing: { retryable: false, help: 'Say why with --reason; it goes on record with your name.' },
  budget_unclear: {
    retryable: false,
    help: '`infrafabric governor breakers --json` names its budgets; set the limit with `infrafabric budget set` and reset without --limit.',
  },
  allowance_lost: {
    retryable: true,
    help: 'Leases of reservations are shorter than the way to the ledger takes: look at the realm, or give them more time.',
  },
  bad_ledger: { retryable: false, help: 'The kind runs another machine than the governor’s.' },
});
