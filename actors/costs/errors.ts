/** What goes wrong with costs, prices and the meter. */
import { errorKinds } from '#schemas/fabric-error';

export const costErrors = errorKinds({
  bad_prices: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/costs.md shows a table. Nothing of the file was taken.',
  },
  prices_refused: {
    retryable: false,
    help: 'A row that is there keeps its prices: let a new one begin with another `from`, or correct it with --replace.',
  },
  cost_refused: { retryable: false, help: 'Mend what the message names; nothing was recorded.' },
  bad_time_zone: { retryable: false, help: 'Name one of the IANA database, such as Europe/Berlin or UTC.' },
  sum_not_exact: {
    retryable: false,
    help: 'Ask for a shorter time: sums beyond 9,000 million units of a currency are not exact.',
  },
  bad_meter: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/meter.md shows a config.',
  },
  meter_token_bad: {
    retryable: false,
    help: 'Remove the token file: the meter makes a new one; or put 16 characters or more into it.',
  },
  meter_port_busy: { retryable: false, help: 'Take another with --port, or none for a free one.' },
  provider_key_missing: {
    retryable: false,
    help: 'Set the variable or write the file that the config names; only its owner may be able to read the file.',
  },
  provider_silent: {
    retryable: true,
    help: 'Raise `limits.silence` of the meter where a model thinks for longer.',
  },
});
