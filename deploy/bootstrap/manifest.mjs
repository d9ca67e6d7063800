/**
 * package.json as it is packed: compiled entry points, no development parts. `npm pack` reads the file itself,
 * so it is rewritten before and put back after; the original waits in a backup, from which an interrupted pack
 * is undone by the next bootstrap or pack.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const backup = '.package.json.before-pack';
const kept = ['name', 'version', 'description', 'license', 'type', 'dependencies'];

/** @param {string} root */
export function rewriteManifest(root) {
  restoreManifest(root);
  const file = join(root, 'package.json');
  const text = readFileSync(file, 'utf8');
  const packed = packedManifest(JSON.parse(text));
  // The backup is whole before package.json is touched.
  writeFileSync(join(root, `${backup}.new`), text);
  renameSync(join(root, `${backup}.new`), join(root, backup));
  writeFileSync(file, `${JSON.stringify(packed, null, 2)}\n`);
}

/**
 * @param {string} root
 * @returns {boolean} whether there was something to restore
 */
export function restoreManifest(root) {
  if (!existsSync(join(root, backup))) return false;
  renameSync(join(root, backup), join(root, 'package.json'));
  return true;
}

/**
 * @param {Record<string, unknown>} manifest
 * @returns {Record<string, unknown>} the same, with every `./x.ts` and `./x.js` as what it is compiled to
 */
export function packedManifest(manifest) {
  const present = kept.filter((key) => key in manifest).map((key) => [key, manifest[key]]);
  return {
    ...Object.fromEntries(present),
    engines: { node: '>=22' },
    bin: mapPaths(manifest['bin'], compiled),
    imports: mapPaths(manifest['imports'], compiled),
    exports: mapPaths(manifest['exports'], typed),
    files: manifest['files'],
  };
}

/** @param {string} path */
function compiled(path) {
  return /\.[jt]s$/.test(path) ? path.replace(/^\.\//, './dist/').replace(/ts$/, 'js') : path;
}

/** @param {string} path */
function typed(path) {
  if (!path.endsWith('.ts')) return path;
  return { types: compiled(path).replace(/js$/, 'd.ts'), default: compiled(path) };
}

/**
 * @param {unknown} value a path, or a record of them at any depth
 * @param {(path: string) => unknown} change
 * @returns {unknown}
 */
function mapPaths(value, change) {
  if (typeof value === 'string') return change(value);
  return Object.fromEntries(
    Object.entries(value ?? {}).map(([key, inner]) => [key, mapPaths(inner, change)]),
  );
}
