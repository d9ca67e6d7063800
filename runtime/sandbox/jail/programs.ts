/** What runs inside a jail. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE_BYTES, type Program } from './launch.ts';

/** Built code has another extension than its source. */
const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const SANDBOX = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs the components of one tenant. */
export const TASK_PROGRAM: Program = {
  root: SANDBOX,
  folders: ['jail/child', 'world'],
  main: `jail/child/main.${EXTENSION}`,
  overheadBytes: NODE_BYTES,
};
