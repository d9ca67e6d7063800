/** Money as whole millionths of a currency unit, read from and written as decimals without ever passing a float. */

/** Millionths of one unit: prices per token are far below a cent. */
export const MICROS = 1_000_000;
const DECIMAL = /^(\d{1,9})(?:\.(\d{1,6}))?$/;

/** Millionths of `12`, `12.5`, `0.000001`; undefined for anything else, more than six decimals included. */
export function parseMoney(text: string): number | undefined {
  const match = DECIMAL.exec(text);
  if (match === null) return undefined;
  const [, whole = '0', part = ''] = match;
  return Number(whole) * MICROS + Number(part.padEnd(6, '0'));
}

/** `12.50`; as many decimals as it takes to be exact, two at least. */
export function formatMoney(micros: number): string {
  const size = Math.abs(micros);
  const whole = Math.trunc(size / MICROS);
  const part = String(size % MICROS)
    .padStart(6, '0')
    .replace(/0{1,4}$/, '');
  return `${micros < 0 ? '-' : ''}${whole}.${part}`;
}
