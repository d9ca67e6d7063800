/**
 * Makes `npm start` and `npm test` work on a machine with nothing but Node >= 20: installs the locked packages
 * (among them the Node this project runs on) and provides nats-server. Plain JavaScript without dependencies,
 * because it runs before there are any. Silent when there is nothing to do.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installDependencies } from './bootstrap/dependencies.mjs';
import { restoreManifest } from './bootstrap/manifest.mjs';
import { linkOwnCommands } from './bootstrap/own-commands.mjs';
// biome-ignore lint/correctness/useImportExtensions: the .d.mts beside it describes it, and is not what runs
import { provideNatsServer } from './nats-server.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const log = (/** @type {string} */ line) => process.stderr.write(`${line}\n`);

try {
  if (restoreManifest(root)) log('package.json: restored after an interrupted npm pack');
  await installDependencies(root, { log });
  await linkOwnCommands(root);
  if (!existsSync(join(root, 'node_modules/.bin/node'))) {
    log(`no pinned Node for ${process.platform}-${process.arch}: using Node ${process.version}`);
  }
  if (!process.env['NATS_URL']) {
    const { path, version } = await provideNatsServer({ log });
    if (process.env['npm_config_loglevel'] === 'verbose') log(`nats-server ${version}: ${path}`);
  }
} catch (error) {
  log(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}
