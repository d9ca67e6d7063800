/** What a node can run without a line of the user's code. */
import { join } from 'node:path';
import { approval } from '#machines/approval';
import { board } from '#machines/board';
import { breaker } from '#machines/breaker';
import { budget } from '#machines/budget';
import { component } from '#machines/component';
import { costs } from '#machines/costs';
import { counter } from '#machines/counter';
import { journal } from '#machines/journal';
import { keyring } from '#machines/keyring';
import { ledger } from '#machines/ledger';
import { policy } from '#machines/policy';
import { prices } from '#machines/prices';
import { redaction } from '#machines/redaction';
import { registry } from '#machines/registry';
import { round } from '#machines/round';
import { runner } from '#machines/runner';
import { sandbox } from '#machines/sandbox';
import { session } from '#machines/session';
import { supervisor } from '#machines/supervisor';
import { swarm } from '#machines/swarm';
import { task } from '#machines/task';
import { witness } from '#machines/witness';
import { worker } from '#machines/worker';
import { leaseDriver } from '#runtime/claims/lease-driver';
import type { Builtins } from '#runtime/cli/builtins';
import { httpDriver } from '#runtime/effects/http';
import { processDriver } from '#runtime/effects/process';
import { sandboxDriver } from './chassis/driver.ts';
import { digestDriver } from './coordinator/digest-driver.ts';
import { matchDriver } from './coordinator/match-driver.ts';
import { sessionProcessDriver } from './coordinator/session-process.ts';
import { calendarDriver } from './governor/calendar-driver.ts';
import { policyDriver } from './governor/policy/driver.ts';

export const builtins: Builtins = {
  machines: [
    approval,
    board,
    breaker,
    budget,
    component,
    costs,
    counter,
    journal,
    keyring,
    ledger,
    policy,
    prices,
    redaction,
    registry,
    round,
    runner,
    sandbox,
    session,
    supervisor,
    swarm,
    task,
    witness,
    worker,
  ],
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
  program: join(import.meta.dirname, 'infrafabric.js'),
};
