/** What goes wrong with boards, imports, mirrors and clients, beside what a task itself refuses. */
import { errorKinds } from '#schemas/fabric-error';

export const coordinatorErrors = errorKinds({
  bad_actor: {
    retryable: false,
    help: 'Name a session, `--as cli`, or an address, `--as operator/ann`; in a secure realm with a key of its own, --nkey FILE.',
  },
  list_refused: {
    retryable: false,
    help: 'Sign on with the key of an operator, --nkey FILE; `infrafabric task show ID` works with any key.',
  },
  bad_task: { retryable: false, help: '`infrafabric task add --help` shows what a task may have.' },
  task_unknown: { retryable: false, help: '`infrafabric task list` shows all there are.' },
  session_unknown: { retryable: false, help: '`infrafabric session list` shows all there are.' },
  tasks_refused: {
    retryable: false,
    help: 'Mend what the message names; nothing of this batch was added.',
  },
  mirror_branch_in_use: {
    retryable: false,
    help: 'Name a branch of the mirror’s own with --branch, or a bare repository: a checked-out branch must not move by itself.',
  },
  mirror_bad_branch: {
    retryable: false,
    help: 'Give --branch a name that git takes: `git check-ref-format --branch NAME` tells.',
  },
  mirror_diverged: {
    retryable: false,
    help: 'Push or drop what others committed to the local branch, or name another one with --branch.',
  },
  mirror_no_folder: {
    retryable: false,
    help: 'Name a folder with --folder, one that is there or none yet: what stands in its place on the branch is kept.',
  },
  mirror_other_realm: {
    retryable: false,
    help: 'Two realms do not share a folder: name another one with --folder, or another branch with --branch.',
  },
  git_failed: {
    retryable: true,
    help: 'Run the same git command in that repository; its own message stands above.',
  },
  bad_import: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/migration-from-git-polling.md says what is understood.',
  },
  export_failed: { retryable: false, help: 'Name a folder that you may write into.' },
  graph_too_large: {
    retryable: false,
    help: 'Draw less with --status or --worker; `--graph text` and `--graph mermaid` have no limit.',
  },
  match_unopened: { retryable: true, help: 'The node is starting; the effect is tried again.' },
  no_address_of_own: {
    retryable: false,
    help: 'Open the client with `from`, the address of who acts: `session/ndi`, `operator/you`.',
  },
  no_outcome: {
    retryable: true,
    help: 'Its shard may be on its way to another node; look at the actor again: what it decides counts.',
  },
  unexpected_reply: { retryable: false, help: 'The kind runs another machine than the coordinator’s.' },
  too_many_processes: {
    retryable: false,
    help: 'Raise `drivers: {session-process: {processesMax: …}}` in the realm config, or stop a swarm.',
  },
  session_key_missing: {
    retryable: false,
    help: 'A secure realm knows each session by its key: make one with `infrafabric keys new session/NAME`.',
  },
  realm_not_up: { retryable: true, help: 'It is tried again by itself.' },
  approval_refused: {
    retryable: false,
    help: 'People answer, not who asked, and once: `infrafabric approve list` shows what waits.',
  },
  round_open: {
    retryable: true,
    help: 'A manifest is made when the round is decided: `infrafabric round show ID` says how it stands.',
  },
  bad_swarm: { retryable: false, help: 'docs/agents.md shows a template; correct what is named.' },
  no_swarm: { retryable: false, help: '`infrafabric swarm list` names those there are.' },
  session_of_another: {
    retryable: false,
    help: 'Give the session another name, or stop the other swarm: `infrafabric swarm list` shows both.',
  },
  swarm_not_started: {
    retryable: false,
    help: 'Look at its processes with `infrafabric swarm list`; correct the template, or the programs that the realm config allows, and spawn it again.',
  },
  swarm_still_runs: {
    retryable: true,
    help: 'The processes are being ended; look with `infrafabric swarm list`, or wait longer with --timeout.',
  },
});
