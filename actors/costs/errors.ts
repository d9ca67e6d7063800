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
});
