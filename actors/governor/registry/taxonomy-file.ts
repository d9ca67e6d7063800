/** Taxonomies that people write, and the one that comes with the package. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { taxonomyFaults } from '#machines/registry/taxonomy';
import { packageRoot } from '#runtime/cli/version';
import { Problems } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { Places, readSource } from '#runtime/supervise/source';
import { SKILLS_MAX, type Taxonomy, taxonomySchema } from '#schemas/capability';
import { FabricError } from '#schemas/fabric-error';
import { registryErrors } from './errors.ts';

/** Of the package. */
export function defaultTaxonomyFile(): string {
  return join(packageRoot(), 'deploy', 'taxonomy.yaml');
}

/** With what it extends. `file` is told as it is given. Throws `bad_taxonomy` with every problem at its place. */
export function readTaxonomy(file: string, path = file): Taxonomy {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new FabricError(registryErrors.bad_taxonomy, `${file} cannot be read`, { cause });
  }
  const problems = new Problems(registryErrors.bad_taxonomy);
  const places = new Places();
  const data = readSource(text, { file, places, problems });
  const start = { file, line: 1, column: 1 };
  if (!problems.any && (typeof data !== 'object' || data === null || Array.isArray(data)))
    problems.add(start, 'holds no taxonomy: expected a mapping with "version" and "categories"');
  problems.throwIfAny();
  const root = data as object;
  const own = checkSchema(taxonomySchema, root, places, problems);
  problems.throwIfAny();
  const taxonomy = own as Taxonomy;
  const whole = taxonomy.extends === undefined ? taxonomy : extended(taxonomy);
  for (const { path: at, what } of taxonomyFaults(whole)) problems.add(places.at(root, at).place, what);
  const size = Object.values(whole.categories).reduce(
    (sum, { skills }) => sum + Object.keys(skills).length,
    0,
  );
  if (size > SKILLS_MAX) problems.add(start, `${size} skills; a taxonomy has ${SKILLS_MAX} at most`);
  problems.throwIfAny();
  return whole;
}

/** Skills of its own replace those of the package's. */
function extended({ extends: _, ...own }: Taxonomy): Taxonomy {
  const base = readTaxonomy(defaultTaxonomyFile());
  const categories = { ...base.categories };
  for (const [name, { about, skills }] of Object.entries(own.categories)) {
    const before = categories[name];
    categories[name] = {
      about: about === '' ? (before?.about ?? '') : about,
      skills: { ...before?.skills, ...skills },
    };
  }
  return { ...own, categories };
}
