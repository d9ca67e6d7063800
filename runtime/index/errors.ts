/** What goes wrong with the read model of the log. */
import { errorKinds } from '#schemas/fabric-error';

export const indexErrors = errorKinds({
  sqlite_missing: {
    retryable: false,
    help: 'The index needs the SQLite that is part of Node: use Node 22.13 or later. Everything else works without it.',
  },
  index_unusable: {
    retryable: true,
    help: 'Check the folder and its free space, or give another file with --file; the log itself is not concerned.',
  },
  place_missing: {
    retryable: false,
    help: '`infrafabric log` shows the place of each entry as SHARD.INDEX; a plain number is a sequence of the log.',
  },
});
