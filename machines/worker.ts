/**
 * A worker as the governor knows it: absent, registered, retired. `worker/ndi` speaks of `session/ndi`. What it decides
 * stands in worker/decide.ts.
 */
import { WORKER_STATUSES } from '#schemas/worker';
import { decidedMachine } from './decided.ts';
import { initialWorker } from './worker/context.ts';
import { decideWorker } from './worker/decide.ts';

export const worker = {
  name: 'worker',
  version: 1,
  machine: decidedMachine({
    id: 'worker',
    version: '1',
    statuses: WORKER_STATUSES,
    hears: ['worker.*', 'task.*', 'budget.*'],
    drivers: [],
    context: initialWorker,
    decide: decideWorker,
  }),
};
