/** What a node can run without a line of the user's code. */
import { join } from 'node:path';
import { leaseDriver } from '#runtime/claims/lease-driver';
import type { Builtins } from '#runtime/cli/builtins';
import { codeRoot } from '#runtime/cli/version';
import { httpDriver } from '#runtime/effects/http';
import { processDriver } from '#runtime/effects/process';
import { sandboxDriver } from './chassis/driver.ts';
import { digestDriver } from './coordinator/digest-driver.ts';
import { matchDriver } from './coordinator/match-driver.ts';
import { sessionProcessDriver } from './coordinator/session-process.ts';
import { calendarDriver } from './governor/calendar-driver.ts';
import { policyDriver } from './governor/policy/driver.ts';
import { machines } from './machines.ts';

export const builtins: Builtins = {
  machines,
  drivers: {
    calendar: calendarDriver,
    digest: digestDriver,
    http: httpDriver,
    lease: leaseDriver,
    match: matchDriver,
    policy: policyDriver,
    process: processDriver,
    sandbox: sandboxDriver,
    'session-process': sessionProcessDriver,
  },
  program: join(codeRoot(), 'actors', 'infrafabric.js'),
};
