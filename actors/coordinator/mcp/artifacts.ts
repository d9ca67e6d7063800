/** Files that an agent hands in, by the hash of what lies there. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { relative, resolve, sep } from 'node:path';
import type { Artifact } from '#schemas/completion';
import { FabricError } from '#schemas/fabric-error';
import { mcpErrors } from './errors.ts';

/** As a tool takes it: what is not hashed yet is hashed here. */
export interface GivenArtifact {
  readonly kind: Artifact['kind'];
  readonly path: string;
  readonly sha256?: string | undefined;
}

/** A hash that is given is held against the file, where it lies here. Throws `mcp_outside_root`, `mcp_no_file`, `mcp_other_hash`. */
export async function hashed(root: string, given: readonly GivenArtifact[]): Promise<Artifact[]> {
  return await Promise.all(given.map((artifact) => hashOne(root, artifact)));
}

async function hashOne(root: string, { kind, path, sha256 }: GivenArtifact): Promise<Artifact> {
  if (sha256 !== undefined) {
    const found = kind === 'branch' ? undefined : await lyingHere(root, { kind, path });
    if (found === undefined || found.sha256 === sha256) return found ?? { kind, path, sha256 };
    const text = `${path} has the SHA-256 ${found.sha256}, not the one given`;
    throw new FabricError(mcpErrors.mcp_other_hash, text, { details: { path, sha256: found.sha256 } });
  }
  // A branch is `name@commit`: its text is what counts.
  if (kind === 'branch') return { kind, path, sha256: createHash('sha256').update(path).digest('hex') };
  const home = await realpath(root);
  const file = await fileAt(resolve(home, path), path);
  if (file !== home && !file.startsWith(home.endsWith(sep) ? home : home + sep)) {
    throw new FabricError(mcpErrors.mcp_outside_root, `${path} is not below ${home}`, { details: { path } });
  }
  const { size } = await stat(file);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return { kind, path: relative(home, file), sha256: hash.digest('hex'), bytes: size };
}

/** Undefined where the file is elsewhere: of that nothing can be said. */
async function lyingHere(root: string, given: GivenArtifact): Promise<Artifact | undefined> {
  try {
    return await hashOne(root, given);
  } catch (thrown) {
    if (thrown instanceof FabricError) return undefined;
    throw thrown;
  }
}

async function fileAt(path: string, given: string): Promise<string> {
  try {
    const file = await realpath(path);
    if ((await stat(file)).isFile()) return file;
  } catch (cause) {
    throw new FabricError(mcpErrors.mcp_no_file, `There is no file ${given}`, {
      cause,
      details: { path: given },
    });
  }
  throw new FabricError(mcpErrors.mcp_no_file, `${given} is no file`, { details: { path: given } });
}
