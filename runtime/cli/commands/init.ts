/** `init`: a new project from the template that the package carries. */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { ensureAuthority } from '#runtime/access/tls-files';
import { ensureKey, ensureNodeKey } from '#runtime/keys/key-store';
import { openRealmKey } from '#runtime/keys/realm-key';
import { FabricError } from '#schemas/fabric-error';
import { declare, handle, type Shell } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { peekConfig } from '../locate.ts';
import { packageRoot } from '../version.ts';

/** Packages leave out files with these names, so the template carries them without the dot. */
const DOTTED = new Set(['gitignore', 'editorconfig', 'npmrc']);
/** What may lie in a folder that is still called empty. */
const HARMLESS = new Set(['.git', '.DS_Store']);

export function initCommand(shell: Shell): Command {
  const command = declare({
    name: 'init',
    summary: 'write a new project: a config, a machine, and keys',
    description:
      'Writes a new project into a folder, this one unless you name another. Nothing is ever overwritten.',
    group: 'Set up',
    examples: [
      ['infrafabric init', 'in this empty folder'],
      ['infrafabric init my-realm', 'in a new folder'],
      ['infrafabric init --secure my-realm', 'with keys that sign on, rights for each, and TLS'],
    ],
  })
    .argument('[dir]', 'folder of the new project', '.')
    .option(
      '--secure',
      'only keys sign on: accounts, rights and TLS, with keys of an operator and an auditor',
    );
  interface Options {
    readonly secure?: boolean;
  }
  return handle<[string], Options>(shell, command, async ({ io, out, options }, dir) => {
    const folder = resolve(io.cwd, dir);
    const files = writeProject(templateFolder(packageRoot()), folder);
    dependOn(packageRoot(), join(folder, 'package.json'));
    const { dataDir } = peekConfig(join(folder, 'realm.yaml'), io.env);
    await openRealmKey(dataDir);
    await ensureNodeKey(dataDir);
    if (options.secure === true) await secure(folder, dataDir);
    const keys = relative(folder, join(dataDir, 'keys'));
    out.data({ folder, files, keys });
    const { name, faint } = out.palette;
    const here = relative(io.cwd, folder);
    out.lines([
      `New project in ${name(folder)}`,
      ...files.map((file) => `  ${out.palette.good('+')} ${file}`),
      `  ${out.palette.good('+')} ${keys}/  ${faint('private keys of the realm and this node')}`,
      '',
      'Next:',
      ...(here === '' ? [] : [`  ${name(`cd ${here}`)}`]),
      `  ${name('npm install')}     ${faint('what its machines import')}`,
      `  ${name('infrafabric up')}  ${faint('run it')}`,
    ]);
    return EXIT.ok;
  });
}

/** The owners whose keys a secure project begins with, besides its node's. */
const FIRST_OWNERS = ['operator/admin', 'auditor/audit'];

async function secure(folder: string, dataDir: string): Promise<void> {
  const file = join(folder, 'realm.yaml');
  appendFileSync(file, SECURE_CONFIG);
  for (const owner of FIRST_OWNERS) await ensureKey(dataDir, owner);
  ensureAuthority(dataDir, peekConfig(file, {}).realm ?? 'realm', Date.now());
}

const SECURE_CONFIG = `
# Only keys sign on, each with rights of its own, over TLS: docs/security.md of InfraFabric.
nats:
  secure: true
`;

/** Copies the template. Gives the files written, relative. Throws `folder_in_use` before it writes anything. */
export function writeProject(template: string, folder: string): string[] {
  const present = existsSync(folder) ? readdirSync(folder).filter((name) => !HARMLESS.has(name)) : [];
  if (present.length > 0) {
    const shown = present.slice(0, 3).join(', ');
    throw new FabricError(
      cliErrors.folder_in_use,
      `${folder} is not empty: ${shown}${present.length > 3 ? ` and ${present.length - 3} more` : ''}`,
      { details: { path: folder } },
    );
  }
  const files = readdirSync(template, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(template, join(entry.parentPath, entry.name)))
    .sort();
  mkdirSync(folder, { recursive: true });
  return files.map((file) => {
    const target = DOTTED.has(basename(file)) ? join(file, '..', `.${basename(file)}`) : file;
    cpSync(join(template, file), join(folder, target), { errorOnExist: true, force: false });
    return target;
  });
}

/** The project uses the installation that made it. */
function dependOn(root: string, file: string): void {
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { dependencies: Record<string, string> };
  manifest.dependencies['infrafabric'] = `file:${root}`;
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
}

function templateFolder(root: string): string {
  // Compiled, the package keeps deploy/ beside its JavaScript or at its root.
  const found = [join(root, 'deploy', 'template'), join(root, 'template')].find((folder) =>
    existsSync(folder),
  );
  if (found === undefined)
    throw new FabricError(cliErrors.template_missing, `There is no template in ${root}`);
  return found;
}
