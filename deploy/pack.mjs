/** Around `npm pack`: `node deploy/pack.mjs` rewrites package.json, `node deploy/pack.mjs restore` puts it back. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { restoreManifest, rewriteManifest } from './bootstrap/manifest.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
if (process.argv[2] === 'restore') restoreManifest(root);
else rewriteManifest(root);
