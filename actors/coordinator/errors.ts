/** What goes wrong with boards, imports and mirrors, beside what a task itself refuses. */
import { errorKinds } from '#schemas/fabric-error';

export const coordinatorErrors = errorKinds({
  bad_import: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/migration-from-git-polling.md says what is understood.',
  },
  graph_too_large: {
    retryable: false,
    help: 'Draw less with --status or --worker; `--graph text` and `--graph mermaid` have no limit.',
  },
});
