/** What keeps a replay from beginning or going on. What it finds is a report, not an error. */
import { errorKinds } from '#schemas/fabric-error';

export const replayErrors = errorKinds({
  replay_no_start: {
    retryable: false,
    help: 'The beginning of the log is not there: give the archive that holds it, or begin with the last snapshots (--from-snapshot).',
  },
  replay_broken: {
    retryable: false,
    help: 'The log itself is damaged there; `infrafabric verify` says what was changed.',
  },
  replay_child_failed: {
    retryable: false,
    help: 'The process that runs the machines ended; its last lines are above.',
  },
  what_if_unused: {
    retryable: false,
    help: 'Name the export after the machine it stands in for, or give its definition: {name, version, machine}.',
  },
});
