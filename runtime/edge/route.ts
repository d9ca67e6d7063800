/** Where a message goes by its hazard and confidence, and when two numeric claims clash. Pure. */
import type { IFMessage } from '#schemas/if-message';

export type Route = 'escalate' | 'hold' | 'share';

/** Less confident than this is escalated. */
export const ESCALATE_BELOW = 0.2;
/** As confident as this is shared; between the two it is held. */
export const SHARE_FROM = 0.7;
/** Numeric claims that differ by more than this share of the larger one conflict. */
export const CONFLICT_RATIO = 0.2;
/** Two doubles that stand for decimals a fifth apart differ by a fifth only up to rounding. */
const ROUNDING = 1e-12;

/** Without hazard and confidence a message is held: nobody vouched for it. */
export function route(message: Pick<IFMessage, 'hazard' | 'confidence'>): Route {
  if (message.hazard?.autoEscalate === true) return 'escalate';
  const { confidence } = message;
  if (confidence === undefined) return 'hold';
  if (confidence < ESCALATE_BELOW) return 'escalate';
  return confidence >= SHARE_FROM ? 'share' : 'hold';
}

/** True where two workers' claims on one question differ by more than 20 % of the larger magnitude: escalate. */
export function claimsConflict(a: number, b: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return !Object.is(a, b);
  const larger = Math.max(Math.abs(a), Math.abs(b));
  if (larger === 0) return false;
  // Scaled first: the difference of two huge numbers would overflow.
  return Math.abs(a / larger - b / larger) > CONFLICT_RATIO + ROUNDING;
}
