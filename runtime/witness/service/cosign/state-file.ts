/**
 * What a cosigner must not forget: for each log, by origin, the largest tree that it cosigned. One file, written whole
 * and synced before a cosignature leaves. A file that cannot be read stops the cosigner: to begin anew would be to
 * cosign a second history.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { writePrivateFile } from '#runtime/bus/file';
import { FabricError } from '#schemas/fabric-error';
import { witnessServiceErrors } from '../errors.ts';

/** A tree that was cosigned. */
export interface Cosigned {
  readonly size: number;
  /** Root hash, base64. */
  readonly root: string;
}

const fileSchema = z.strictObject({
  format: z.literal(1),
  logs: z.record(z.string(), z.strictObject({ size: z.int().min(0), root: z.string() })),
});

export class StateFile {
  readonly #path: string;
  readonly #logs: Map<string, Cosigned>;

  /** Throws `cosigner_state_bad`. */
  constructor(path: string) {
    this.#path = path;
    this.#logs = existsSync(path) ? readState(path) : new Map();
  }

  /** Undefined where nothing of this origin was cosigned. */
  get(origin: string): Cosigned | undefined {
    return this.#logs.get(origin);
  }

  all(): ReadonlyMap<string, Cosigned> {
    return this.#logs;
  }

  /** On disk when it returns; throws what the file system says, and then nothing changed. */
  set(origin: string, cosigned: Cosigned): void {
    const logs = Object.fromEntries([...this.#logs, [origin, cosigned]]);
    writePrivateFile(this.#path, `${JSON.stringify({ format: 1, logs }, null, 2)}\n`);
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

function readState(path: string): Map<string, Cosigned> {
  try {
    const { logs } = fileSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    return new Map(Object.entries(logs));
  } catch (cause) {
    throw new FabricError(witnessServiceErrors.cosigner_state_bad, `The state file ${path} cannot be read`, {
      details: { path },
      cause,
    });
  }
}
