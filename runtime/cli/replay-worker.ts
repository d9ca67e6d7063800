/** The command that runs in the process that replays; not listed. */
export const REPLAY_WORKER = '__replay';
