/** `infrafabric/governor`: what workers, people and tools need of the governor. */
export type { BreakerView } from '#schemas/breaker';
export type { AccountView, Amounts, Degrade, LedgerReply, Limit, Period, Shortage } from '#schemas/budget';
export { formatMoney, MICROS, parseMoney } from '#schemas/money';
export type { Decision, PolicyRequest, PolicyRequestInput } from '#schemas/policy';
export { type CostsClient, openCosts, type Recorded, type Usage } from '../costs/client.ts';
export { type Breakers, openBreakers } from './breakers.ts';
export {
  type Amount,
  type Booked,
  type Budgets,
  type Denied,
  type Draw,
  type Drawn,
  type Granted,
  openBudgets,
} from './budgets.ts';
export { type Authorized, authorize } from './policy/authorize.ts';
