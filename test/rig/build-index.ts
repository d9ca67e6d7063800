/** `build-index.ts FILE COMMITS`: builds an index of a synthetic log, to be killed. Writes a line with each batch. */
import { LogIndex } from '#runtime/index/log-index';
import { syntheticLog } from './synthetic-log.ts';

const [file = '', commits = '0'] = process.argv.slice(2);
using index = LogIndex.open(file, 'if');
const log = syntheticLog({ commits: Number(commits), actors: 1_000 });
await index.catchUp(log, { onProgress: (seq) => process.stdout.write(`${seq}\n`) });
