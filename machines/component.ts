/**
 * A published component: its contract, who may have it run, and how it keeps its promises. What it decides stands in
 * component/decide.ts.
 */
import { COMPONENT_STATUSES } from '#schemas/service-contract';
import { initialComponent } from './component/context.ts';
import { decideComponent } from './component/decide.ts';
import { decidedMachine } from './decided.ts';

export const component = {
  name: 'component',
  version: 1,
  machine: decidedMachine({
    id: 'component',
    version: '1',
    statuses: COMPONENT_STATUSES,
    hears: ['component.*'],
    drivers: [],
    context: initialComponent,
    decide: decideComponent,
  }),
};
