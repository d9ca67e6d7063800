/** Reading files that a command names. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Io } from '#runtime/cli/io';
import { FabricError } from '#schemas/fabric-error';
import { policyErrors } from '../errors.ts';

/** Throws `policy_file_unreadable`. */
export function readPolicyFile(file: string, io: Io): string {
  try {
    return readFileSync(resolve(io.cwd, file), 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new FabricError(policyErrors.policy_file_unreadable, `${file} cannot be read: ${code}`, { cause });
  }
}
