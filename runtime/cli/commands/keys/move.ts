/** `keys export`, `keys import`: private keys from one data folder to another, in a file that a passphrase opens. */
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { EXPORT_BYTES_MAX, type NamedSeed, readExport, sealKeys } from '#runtime/keys/export';
import { keyName, REALM_KEY_NAME, seedOf, storedKeys, storeSeed } from '#runtime/keys/key-store';
import { FabricError } from '#schemas/fabric-error';
import { handle, type Shell } from '../../command.ts';
import { cliErrors } from '../../errors.ts';
import { EXIT } from '../../exit-codes.ts';
import { type PassphraseOptions, passphraseOptions, readPassphrase } from '../../passphrase.ts';
import { plural } from '../../render/format.ts';
import { keyFolder } from './place.ts';

const FILE_MODE = 0o600;

export function keysExportCommand(shell: Shell): Command {
  const command = new Command('export')
    .description('write private keys into a file that only a passphrase opens')
    .argument('<file>', 'the file; one that is there is never overwritten')
    .argument('[owners...]', '`realm` and other owners; every key that lies here when absent');
  for (const option of passphraseOptions()) command.addOption(option);
  return handle<[string, string[]], PassphraseOptions>(
    shell,
    command,
    async ({ io, out, options }, given, owners) => {
      const dataDir = keyFolder(options, io);
      const names =
        owners.length === 0 ? (await storedKeys(dataDir)).map(({ name }) => name) : owners.map(nameOf);
      if (names.length === 0) throw new FabricError(cliErrors.key_unknown, `There are no keys in ${dataDir}`);
      const keys: NamedSeed[] = [];
      for (const name of new Set(names)) keys.push({ name, seed: await seedOf(dataDir, name) });
      const text = await sealKeys(keys, await readPassphrase(options, io, true));
      for (const { seed } of keys) seed.fill(0);
      const file = resolve(io.cwd, given);
      writeNew(file, text);
      out.data({ ok: true, file, keys: keys.map(({ name }) => name) });
      out.lines([
        `${out.palette.good('✓')} ${plural(keys.length, 'key')} in ${out.palette.name(given)}`,
        ...keys.map(({ name }) => `  ${name.replace('%', '/')}`),
        out.palette.faint('Only the passphrase opens it. keys/privacy.key is not in it: copy that by hand.'),
      ]);
      return EXIT.ok;
    },
  );
}

export function keysImportCommand(shell: Shell): Command {
  const command = new Command('import')
    .description('put the keys of an export into the data folder; none that lies there is overwritten')
    .argument('<file>', 'the file');
  for (const option of passphraseOptions()) command.addOption(option);
  return handle<[string], PassphraseOptions>(shell, command, async ({ io, out, options }, given) => {
    const dataDir = keyFolder(options, io);
    const sealed = readExport(readText(resolve(io.cwd, given)));
    const keys = await sealed.open(await readPassphrase(options, io, false));
    const written: string[] = [];
    for (const { name, seed } of keys) {
      if (await storeSeed(dataDir, name, seed)) written.push(name);
      seed.fill(0);
    }
    out.data({ ok: true, dataDir, written, present: keys.length - written.length });
    const { good, faint } = out.palette;
    out.lines([
      `${good('✓')} ${plural(written.length, 'key')} imported into ${dataDir}`,
      ...written.map((name) => `  ${name.replace('%', '/')}`),
      ...(written.length < keys.length ? [faint(`${keys.length - written.length} lay there already`)] : []),
    ]);
    return EXIT.ok;
  });
}

function nameOf(owner: string): string {
  return owner === REALM_KEY_NAME ? REALM_KEY_NAME : keyName(owner);
}

function writeNew(file: string, text: string): void {
  let fd: number;
  try {
    fd = openSync(file, 'wx', FILE_MODE);
  } catch (cause) {
    throw new FabricError(cliErrors.file_unreadable, `${file} cannot be written, or is there already`, {
      cause,
    });
  }
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function readText(file: string): string {
  try {
    if (statSync(file).size <= EXPORT_BYTES_MAX) return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new FabricError(cliErrors.file_unreadable, `${file} cannot be read`, { cause });
  }
  throw new FabricError(cliErrors.file_unreadable, `${file} is too large for an export`);
}
