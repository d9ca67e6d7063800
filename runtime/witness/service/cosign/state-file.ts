/**
 * What a cosigner must not forget: for each log, by origin, the largest tree that it cosigned. One file, written whole
 * and synced before a cosignature leaves. A file that cannot be read stops the cosigner: to begin anew would be to
 * cosign a second history.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { writePrivateFile } from '#runtime/bus/file';
import { FabricError } from '#schemas/fabric-error';
import { witnessServiceErrors } from '../errors.ts';
import { formatLogTrees, type LogTree, parseLogTrees } from '../log-trees.ts';

export class StateFile {
  readonly #path: string;
  readonly #logs: Map<string, LogTree>;

  /** Throws `cosigner_state_bad`. */
  constructor(path: string) {
    this.#path = path;
    this.#logs = existsSync(path) ? readState(path) : new Map();
  }

  /** Undefined where nothing of this origin was cosigned. */
  get(origin: string): LogTree | undefined {
    return this.#logs.get(origin);
  }

  all(): ReadonlyMap<string, LogTree> {
    return this.#logs;
  }

  /** On disk when it returns; throws what the file system says, and then nothing changed. */
  set(origin: string, cosigned: LogTree): void {
    writePrivateFile(this.#path, formatLogTrees(new Map([...this.#logs, [origin, cosigned]])));
    syncFolder(dirname(this.#path));
    this.#logs.set(origin, cosigned);
  }
}

/** A rename is only for good once its folder is synced. */
function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function readState(path: string): Map<string, LogTree> {
  try {
    return parseLogTrees(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new FabricError(witnessServiceErrors.cosigner_state_bad, `The state file ${path} cannot be read`, {
      details: { path },
      cause,
    });
  }
}
