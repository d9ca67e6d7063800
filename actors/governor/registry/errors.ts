/** What goes wrong with taxonomies, profiles and registrations. */
import { errorKinds } from '#schemas/fabric-error';

export const registryErrors = errorKinds({
  bad_taxonomy: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/governor.md shows a taxonomy.',
  },
  bad_workers: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/governor.md shows a file of workers.',
  },
  bad_profile: {
    retryable: false,
    help: '`infrafabric governor register --help` shows what a worker may have.',
  },
  registration_refused: {
    retryable: false,
    help: 'Correct what is named; an operator registers workers, and `infrafabric governor taxonomy` shows what there is.',
  },
  no_registry: {
    retryable: false,
    help: 'Add the kinds `registry` and `worker` to the config: docs/governor.md shows how.',
  },
});
