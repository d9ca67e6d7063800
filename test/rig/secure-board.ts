/** A realm of the coordinator where keys sign on, up in a folder. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { CliFolder } from './cli.ts';

/** Runs a command that must succeed, and gives what it wrote. */
export type Ok = (...args: string[]) => Promise<string>;

/** With the key of `operator/admin`, and one for each of `others`. */
export async function secureBoard(
  t: ExecutionContext,
  folder: CliFolder,
  others: readonly string[],
): Promise<Ok> {
  const ok: Ok = async (...args) => {
    const { code, out, err } = await folder.run(args);
    t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
    return out;
  };
  await ok('init', '--secure');
  const kinds = readFileSync('deploy/examples/coordinator.yaml', 'utf8').replace(
    /^realm: .*$/m,
    'realm: hello',
  );
  writeFileSync(join(folder.path, 'realm.yaml'), `${kinds}\nnats:\n  secure: true\n`);
  await ok('up', '--detach');
  for (const name of others) await ok('keys', 'new', name);
  return ok;
}
