/** What goes wrong while effects run. */
import { errorKinds } from '#schemas/fabric-error';

export const effectErrors = errorKinds({
  unknown_driver: {
    retryable: false,
    help: 'Use a driver the node knows (http, process), or register yours when the node is started.',
  },
  driver_error: {
    retryable: true,
    help: 'The driver threw; it is tried again by its retry policy. A driver ends the attempts with terminal(error).',
  },
  effect_failed: {
    retryable: false,
    help: 'The driver called this final: handle it in the machine (onError).',
  },
  effect_bad_input: { retryable: false, help: 'Correct the input that the machine gives to the invocation.' },
  effect_timeout: { retryable: true, help: 'Raise timeoutMs of the effect, or make the work smaller.' },
  effect_cancelled: { retryable: false, help: 'The machine left the state, or the node is closing.' },
  effect_overloaded: {
    retryable: true,
    help: 'Too many effects wait on this node: slow the callers down, or raise concurrencyMax of the driver.',
  },
  driver_stuck: {
    retryable: true,
    help: 'Calls of this driver go on after they were told to stop: mend the driver, it must heed call.signal.',
  },
  effect_output_too_big: {
    retryable: false,
    help: 'Return less, or store the data elsewhere and return where it is.',
  },
  effect_output_not_plain: {
    retryable: false,
    help: 'Return plain data: no functions, class instances, cycles or deep nesting.',
  },
  http_host_refused: {
    retryable: false,
    help: 'Add the host to the realm config, `drivers: {http: {allowHosts: [the.host]}}`, and start the node again.',
  },
  http_private_address: {
    retryable: false,
    help: 'Name the address itself in drivers.http.allowHosts if calls into the private network are meant.',
  },
  http_redirects: { retryable: false, help: 'Ask for the final address directly.' },
  http_status: {
    retryable: true,
    help: 'The other side is not well or asks for patience: see details.status.',
  },
  http_network: { retryable: true, help: 'Check that the host is up and can be reached from this node.' },
  http_body_too_big: { retryable: false, help: 'Ask for less, or use a process that stores the download.' },
  env_refused: {
    retryable: false,
    help: 'Add the name to drivers.http.allowEnv or drivers.process.allowEnv in the realm config.',
  },
  env_missing: { retryable: false, help: 'Set the variable in the environment of the node and restart it.' },
  process_refused: {
    retryable: false,
    help: 'Add the command to the realm config, `drivers: {process: {allow: [command]}}`, and start the node again.',
  },
  process_not_started: { retryable: false, help: 'Check that the program is installed and may be run.' },
});
