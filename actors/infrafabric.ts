#!/usr/bin/env node
/** The `infrafabric` command. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { cacheFolder } from '#deploy/nats-server';

// Commands start in a third of the time. The folder is the user's own: what lies there is run. With coverage, V8 needs
// to see every function being compiled.
if (process.env['NODE_V8_COVERAGE'] === undefined) enableCompileCache(join(cacheFolder(), '..', 'compiled'));

const { main } = await import('#runtime/cli/main');
const { builtins } = await import('./index.ts');

process.exit(await main(process.argv.slice(2), builtins));
