/** `infrafabric/governor`: what workers, people and tools need of the governor. */
export type { AccountView, Amounts, Degrade, LedgerReply, Limit, Period, Shortage } from '#schemas/budget';
export { formatMoney, MICROS, parseMoney } from '#schemas/money';
export { type Amount, type Booked, type Budgets, type Denied, type Granted, openBudgets } from './budgets.ts';
