/** What goes wrong around sandboxed tasks, outside of their jail. */
import { errorKinds } from '#schemas/fabric-error';

export const chassisErrors = errorKinds({
  sandbox_queue_full: {
    retryable: true,
    help: 'Submit fewer tasks at a time, or raise drivers.sandbox.queueMax: a tenant has a share of it.',
  },
  sandbox_turn_lost: {
    retryable: true,
    help: 'The node of the task ended while it waited or ran; it is queued again as its retries allow.',
  },
  sandbox_missing_object: {
    retryable: false,
    help: 'The object store lacks the bytes: publish the component again, or submit the input again. Inputs and outputs are kept for 30 days.',
  },
  task_input_exceeded: {
    retryable: false,
    help: 'Submit a shorter input: 64 MiB at most.',
  },
  sandbox_not_run: {
    retryable: false,
    help: 'Only a run that came to an end can be done again: `infrafabric chassis show ID` says how far the task is.',
  },
  sandbox_store_full: {
    retryable: false,
    help: 'The tenant keeps 64 MiB of keys and values, all its runs together: overwrite what is not needed with something shorter.',
  },
  sandbox_world_failed: {
    retryable: false,
    help: 'What the guest asked for was granted, and did not work: details and the log of the node say why.',
  },
  sandbox_replay_differs: {
    retryable: false,
    help: 'The run did not ask what it asked before: its component, input, limits or seed are not those of the record.',
  },
  sandbox_unopened: {
    retryable: true,
    help: 'This node is starting or stopping, and runs no sandboxed tasks.',
  },
  bad_contract: {
    retryable: false,
    help: 'docs/chassis.md shows a service contract; docs/schemas/service-contract.json is its schema.',
  },
  bad_guest_name: { retryable: false, help: 'Its folder has the name of the component: word-count.' },
  no_guest: {
    retryable: false,
    help: 'Name the folder of a guest, which holds its contract.yaml; `infrafabric chassis new word-count` makes one.',
  },
  guest_exists: { retryable: false, help: 'Choose another name, or remove what is there.' },
  guest_not_built: {
    retryable: false,
    help: 'Correct the source where the message says; `infrafabric chassis new` makes one that builds.',
  },
  guest_tool_missing: {
    retryable: false,
    help: 'Install the compiler that the message names, or begin with `--language wat`, which needs none.',
  },
  no_chassis: {
    retryable: false,
    help: 'Add the kinds `component` and `sandbox` to the config: deploy/examples/chassis.yaml shows them.',
  },
  chassis_refused: {
    retryable: false,
    help: 'What it says stands in the contract: `infrafabric chassis show COMPONENT`.',
  },
});
