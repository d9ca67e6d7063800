/** What a node can run without a line of the user's code. */
import { extname, join } from 'node:path';
import { counter } from '#machines/counter';
import { keyring } from '#machines/keyring';
import { redaction } from '#machines/redaction';
import { session } from '#machines/session';
import { supervisor } from '#machines/supervisor';
import { task } from '#machines/task';
import { witness } from '#machines/witness';
import type { Builtins } from '#runtime/cli/builtins';
import { httpDriver } from '#runtime/effects/http';
import { processDriver } from '#runtime/effects/process';

export const builtins: Builtins = {
  machines: [counter, keyring, redaction, session, supervisor, task, witness],
  drivers: { http: httpDriver, process: processDriver },
  // Compiled it ends like this file.
  program: join(import.meta.dirname, `infrafabric${extname(import.meta.filename)}`),
};
