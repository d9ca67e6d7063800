/** What is kept of a component. */
import { firstReputation } from '#machines/registry/reputation';
import { type ComponentView, type ServiceContract, type Slo, sloSchema } from '#schemas/service-contract';
import type { Reputation } from '#schemas/worker';
import { EMPTY_WINDOW, type RunWindow, reportOf } from './window.ts';

export interface ComponentContext {
  readonly id: string;
  readonly status: ComponentView['status'];
  readonly contract: ServiceContract | null;
  /** Of the bytes in the object store. */
  readonly sha256: string | null;
  readonly bytes: number | null;
  readonly submitted: number;
  readonly window: RunWindow;
  /** Promises that were broken when it last ran. */
  readonly broken: readonly (keyof Slo)[];
  readonly reputation: Reputation;
  readonly changedAt: number | null;
}

export function initialComponent(_input: unknown, self: string): ComponentContext {
  return {
    id: self.slice(self.indexOf('/') + 1),
    status: 'absent',
    contract: null,
    sha256: null,
    bytes: null,
    submitted: 0,
    window: EMPTY_WINDOW,
    broken: [],
    reputation: firstReputation(0),
    changedAt: null,
  };
}

export function componentView({ window, broken: _, ...context }: ComponentContext): ComponentView {
  return { ...context, slo: reportOf(window, context.contract?.slo ?? sloSchema.parse({})) };
}
