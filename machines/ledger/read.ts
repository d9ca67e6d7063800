/**
 * Reads what is asked of a ledger. What comes by the thousand, reservations and their ends, is read by hand: checking them by the
 * schema would take as long as deciding them. Whatever is not plainly one of them is left to the schema, so that there is one word
 * on what is right; a test holds both against each other.
 */
import {
  ACCOUNT_NAME,
  AMOUNT_MAX,
  type Amounts,
  type LedgerAction,
  ledgerActionSchema,
  RESERVATION_ID_MAX,
  RESERVATION_MS_DEFAULT,
  RESERVATION_MS_MAX,
  RESERVATION_MS_MIN,
} from '#schemas/budget';

type Event = { readonly type: string; readonly [field: string]: unknown };

/** Undefined for what is no action of a ledger. */
export function readAction(event: Event): LedgerAction | undefined {
  switch (event.type) {
    case 'ledger.reserve':
      return reserveOf(event) ?? bySchema(event);
    case 'ledger.commit':
      return commitOf(event) ?? bySchema(event);
    case 'ledger.draw':
      return drawOf(event) ?? bySchema(event);
    default:
      return bySchema(event);
  }
}

function bySchema({ type, ...rest }: Event): LedgerAction | undefined {
  return ledgerActionSchema.safeParse({ ...rest, action: type.slice('ledger.'.length) }).data;
}

function reserveOf({ account, id, amount, leaseMs }: Event): LedgerAction | undefined {
  const read = amountsOf(amount);
  const lease = leaseOf(leaseMs);
  if (!isAccount(account) || !isId(id) || read === undefined || lease === undefined) return undefined;
  return { action: 'reserve', account, id, amount: read, leaseMs: lease };
}

function commitOf({ id, amount }: Event): LedgerAction | undefined {
  const read = amountsOf(amount);
  return isId(id) && read !== undefined ? { action: 'commit', id, amount: read } : undefined;
}

function drawOf({ id, n, spent, hold, upTo, leaseMs }: Event): LedgerAction | undefined {
  const [all, least, most] = [amountsOf(spent), amountsOf(hold), amountsOf(upTo)];
  const lease = leaseOf(leaseMs);
  const isRead = all !== undefined && least !== undefined && most !== undefined && lease !== undefined;
  if (!isRead || !isId(id) || !isWhole(n, 1, Number.MAX_SAFE_INTEGER)) return undefined;
  return { action: 'draw', id, n, spent: all, hold: least, upTo: most, leaseMs: lease };
}

function isAccount(value: unknown): value is string {
  return typeof value === 'string' && ACCOUNT_NAME.test(value);
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= RESERVATION_ID_MAX;
}

function leaseOf(value: unknown): number | undefined {
  if (value === undefined) return RESERVATION_MS_DEFAULT;
  return isWhole(value, RESERVATION_MS_MIN, RESERVATION_MS_MAX) ? value : undefined;
}

/** Both measures, or one of them, and nothing else. */
function amountsOf(value: unknown): Amounts | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  for (const key in value) if (key !== 'micros' && key !== 'tokens') return undefined;
  const { micros = 0, tokens = 0 } = value as Readonly<Record<string, unknown>>;
  return isWhole(micros, 0, AMOUNT_MAX) && isWhole(tokens, 0, AMOUNT_MAX) ? { micros, tokens } : undefined;
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
}
