/** A data folder remembers that its node joined a realm: started alone it would begin another, empty one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writePrivateFile } from '#runtime/bus/file';
import { FabricError } from '#schemas/fabric-error';
import { nodeErrors } from './errors.ts';

const FILE = 'joined';
/** What a folder holds whose node runs the server. */
const STORE = 'jetstream';

/** Called with true where the node joins a server. Throws `join_missing` where it did before and does not now. */
export function checkJoined(dataDir: string, isJoining: boolean): void {
  const file = join(dataDir, FILE);
  if (isJoining) {
    if (!existsSync(join(dataDir, STORE)))
      writePrivateFile(file, 'This node joins a realm that another one serves.\n');
    return;
  }
  if (!existsSync(file)) return;
  throw new FabricError(
    nodeErrors.join_missing,
    `The node of ${dataDir} joined a realm before; without --join it would begin an empty one`,
    { details: { dataDir } },
  );
}
