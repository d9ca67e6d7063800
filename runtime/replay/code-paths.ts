/**
 * Which paths the process of a replay may read: code, and the modules it finds above it.
 *
 * P1  Of a folder with code, all but what is hidden (`.infrafabric`, `.env`, `.git`) and what is no code.
 * P2  No data folder, wherever it lies: the keys of the realm are in it.
 */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, extname, join, sep } from 'node:path';

const CODE = new Set(['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', '.json', '.wasm']);
const MODULES = 'node_modules';
/** P2: marks the data folder of any realm. */
const KEYS = join('keys', 'realm.seed');

/** `dataDir`: the data folder of the realm in question, where it is known. */
export function codePaths(folders: readonly string[], dataDir: string | undefined): string[] {
  const closed = dataDir === undefined ? [] : bothOf(dataDir);
  const found = new Set<string>();
  const add = (path: string): void => {
    for (const one of bothOf(path)) found.add(one);
  };
  for (const folder of folders) {
    for (const path of codeIn(folder, closed)) add(path);
    for (let at = folder; ; at = dirname(at)) {
      add(join(at, MODULES));
      add(join(at, 'package.json'));
      if (dirname(at) === at) break;
    }
  }
  return [...found];
}

/** P1. */
function* codeIn(folder: string, closed: readonly string[]): Generator<string> {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (name.startsWith('.') || name === MODULES) continue;
    const path = join(folder, name);
    const kind = statSync(path, { throwIfNoEntry: false });
    if (kind?.isFile() === true && CODE.has(extname(name))) yield path;
    if (kind?.isDirectory() !== true) continue;
    const real = realpathSync(path);
    if (closed.includes(real) || existsSync(join(path, KEYS))) continue;
    // A grant is for all that lies below.
    if (closed.some((one) => one.startsWith(real + sep))) yield* codeIn(path, closed);
    else yield path;
  }
}

/** The path, and where it leads; nothing where it does not exist. */
function bothOf(path: string): string[] {
  return existsSync(path) ? [path, realpathSync(path)] : [];
}
