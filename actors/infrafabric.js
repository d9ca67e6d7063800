#!/usr/bin/env node
/**
 * The `infrafabric` command. Plain JavaScript: from the file that Node starts with it would strip types before any cache
 * is open, and to load what strips them takes a quarter of a second.
 */
import * as nodeModule from 'node:module';
import { join } from 'node:path';
import { cacheFolder } from '#deploy/nats-server';

const NODE_MAJOR_MIN = 22;

// Before anything is imported that an older Node cannot read.
if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(
    `error[node_too_old]: Node ${NODE_MAJOR_MIN} or newer is needed, this is ${process.versions.node}\nhelp: Run it with a newer Node; in a checkout \`npx infrafabric\` brings one along.\n`,
  );
  process.exit(1);
}

// Commands start in a third of the time. The folder is the user's own: what lies there is run. With coverage, V8 needs
// to see every function being compiled.
if (process.env['NODE_V8_COVERAGE'] === undefined) {
  nodeModule.enableCompileCache(join(cacheFolder(), '..', 'compiled'));
}

const { main } = await import('#runtime/cli/main');
const { distribution } = await import('#actors/distribution');

process.exit(await main(process.argv.slice(2), distribution));
