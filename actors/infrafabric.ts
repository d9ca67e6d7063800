#!/usr/bin/env node
/** The `infrafabric` command. */
import { main } from '#runtime/cli/main';
import { builtins } from './index.ts';

process.exit(await main(process.argv.slice(2), builtins));
