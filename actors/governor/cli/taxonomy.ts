/** `governor taxonomy`: checks a taxonomy and puts it in force. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type ActingOptions, withActing } from '#actors/coordinator/cli/with-desk';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import type { Io } from '#runtime/cli/io';
import { plural } from '#runtime/cli/render/format';
import type { Taxonomy } from '#schemas/capability';
import { defaultTaxonomyFile, readTaxonomy } from '../registry/taxonomy-file.ts';
import { withRegistry } from './say.ts';

interface Options extends ActingOptions {
  readonly check?: boolean;
}

export function taxonomyCommand(shell: Shell): Command {
  const command = declare({
    name: 'taxonomy',
    summary: 'check a taxonomy of capabilities and put it in force',
    description:
      'Reads a taxonomy, tells every problem at its place, and puts it in force where its version is above that of the one before. Without a file it is the one that comes with the package.',
    group: 'Work',
    examples: [
      ['infrafabric governor taxonomy', 'the one of the package'],
      ['infrafabric governor taxonomy mine.yaml --check', 'only reads it'],
      ['infrafabric governor taxonomy mine.yaml', 'in force from now on'],
    ],
  })
    .argument('[file]', 'a taxonomy; `extends: default` adds to that of the package')
    .option('--check', 'only check it; no realm is needed');
  return handle<[string?], Options>(shell, withActing(command), async (run, file) => {
    const { options, out, io } = run;
    const taxonomy = taxonomyOf(file, io);
    const { version } = taxonomy;
    const size = skillsOf(taxonomy);
    const what = `taxonomy ${version}: ${plural(size, 'skill')} in ${plural(Object.keys(taxonomy.categories).length, 'category', 'categories')}`;
    if (options.check === true) {
      out.data({ ok: true, version, skills: size });
      out.lines([`${out.palette.good('✓')} ${what}`]);
      return EXIT.ok;
    }
    return await withRegistry(run, async (registry) => {
      await registry.say({ type: 'registry.taxonomy', taxonomy });
      out.data({ ok: true, version, skills: size, inForce: true });
      out.lines([`${out.palette.good('✓')} ${what}, in force`]);
      return EXIT.ok;
    });
  });
}

function taxonomyOf(file: string | undefined, { cwd }: Io): Taxonomy {
  return file === undefined ? readTaxonomy(defaultTaxonomyFile()) : readTaxonomy(file, resolve(cwd, file));
}

function skillsOf({ categories }: Taxonomy): number {
  return Object.values(categories).reduce((sum, { skills }) => sum + Object.keys(skills).length, 0);
}
