/** What goes wrong on the asking side. */
import { errorKinds } from '#schemas/fabric-error';

export const clientErrors = errorKinds({
  ask_timeout: {
    retryable: true,
    help: 'It may have been done: ask again under the same message id, and the first answer comes back.',
  },
  nobody_answers: {
    retryable: true,
    help: 'Nothing was done. Is the realm up? `infrafabric doctor` says what is missing.',
  },
  ask_aborted: {
    retryable: true,
    help: 'It may have been done: ask again under the same message id to know.',
  },
  too_many_asks: { retryable: true, help: 'Await some answers first, or raise outstandingMax.' },
  client_closed: { retryable: false, help: 'Connect anew.' },
  connect_failed: {
    retryable: true,
    help: 'Is the realm up? `infrafabric env` prints the URL and the token.',
  },
  run_file_bad: {
    retryable: false,
    help: 'Point runFile to the run.json in the data folder of a running realm.',
  },
  bad_answer: {
    retryable: false,
    help: 'Something that is no node answers on this subject: check the prefix.',
  },
  bad_message_id: {
    retryable: false,
    help: 'Ids, names and traceparents are 1 to 200 printable ASCII characters.',
  },
  body_not_encodable: { retryable: false, help: 'Send plain data: no functions, cycles or BigInt.' },
  send_refused: {
    retryable: true,
    help: 'The inbox stream refused it: details say why. Nothing was stored.',
  },
  no_signer: { retryable: false, help: 'Connect with from: and key: (or signer:) to send IFMessages.' },
  bad_pattern: { retryable: false, help: 'Watch type/id, type/* or */*.' },
});
