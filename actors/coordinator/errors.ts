/** What goes wrong with boards, imports, mirrors and clients, beside what a task itself refuses. */
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
  match_unopened: { retryable: true, help: 'The node is starting; the effect is tried again.' },
  no_address_of_own: {
    retryable: false,
    help: 'Open the client with `from`, the address of who acts: `session/ndi`, `operator/you`.',
  },
  unexpected_reply: { retryable: false, help: 'The kind runs another machine than the coordinator’s.' },
});
