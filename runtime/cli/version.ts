/** This package: its version, and where it lies. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the installed package: the nearest folder above this file with a manifest. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

/** Where the folders of the code lie: the package itself in a checkout, `dist` once it is built. */
export function codeRoot(): string {
  return import.meta.url.endsWith('.ts') ? packageRoot() : join(packageRoot(), 'dist');
}

export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  const { version: text } = manifest as { version?: string };
  return text ?? '0.0.0';
}
