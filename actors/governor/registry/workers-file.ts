/** A file of workers to register. */
import { readFileSync } from 'node:fs';
import { Problems } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { Places, readSource } from '#runtime/supervise/source';
import { FabricError } from '#schemas/fabric-error';
import { type WorkerProfile, workersFileSchema } from '#schemas/worker';
import { registryErrors } from './errors.ts';

/** `file` is told as it is given. Throws `bad_workers` with every problem at its place. */
export function readWorkers(file: string, path = file): readonly WorkerProfile[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new FabricError(registryErrors.bad_workers, `${file} cannot be read`, { cause });
  }
  const problems = new Problems(registryErrors.bad_workers);
  const places = new Places();
  const data = readSource(text, { file, places, problems });
  if (!problems.any && (typeof data !== 'object' || data === null || Array.isArray(data)))
    problems.add({ file, line: 1, column: 1 }, 'holds no workers: expected a mapping with "workers"');
  problems.throwIfAny();
  const read = checkSchema(workersFileSchema, data as object, places, problems);
  const known = new Set<string>();
  for (const [n, { id }] of (read?.workers ?? []).entries()) {
    if (known.has(id))
      problems.add(places.at(data as object, ['workers', n, 'id']).place, `${id} is there already`);
    known.add(id);
  }
  problems.throwIfAny();
  return read?.workers ?? [];
}
