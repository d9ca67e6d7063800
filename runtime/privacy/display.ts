/** Sealed values as people see them: opened where that is wished and can be, or said to be sealed, or redacted. */
import type { KeyObject } from 'node:crypto';
import { isSealed, replaceSealed, SEALED, type Sealed, sealedIn } from '#schemas/sealed';
import { type KeyRow, unwrapRow } from './data-keys.ts';
import { open } from './seal.ts';

/** Stands for a value whose key exists. */
export const SEALED_MARK = '«sealed»';
/** Stands for a value whose key was destroyed. */
export const REDACTED_MARK = '«redacted»';

/** Subjects whose state is remembered, and for how long: a command that follows the log soon hears of a redaction. */
const SUBJECTS_KEPT_MAX = 10_000;
const SUBJECT_KEPT_MS = 1_000;

export interface ViewOptions {
  readonly realm: string;
  /** The row of a subject's key; absent where there is no bucket to ask. */
  readonly stateOf?: (subject: string) => Promise<KeyRow | undefined>;
  /** ms since the epoch. */
  readonly now?: () => number;
  /** Opens what is not redacted. */
  readonly privacyKey?: KeyObject | undefined;
}

export interface PrivacyView {
  /** Plain data with every sealed value in it replaced; the data itself where there is none. */
  show<T>(value: T): Promise<T>;
  /** True where the key of a sealed value was destroyed. */
  isRedacted(sealed: Sealed): Promise<boolean>;
}

/**
 * Shows sealed values.
 *
 * @example
 * const view = privacyView({ realm: 'shop', stateOf: (subject) => keys.stateOf(subject) });
 * await view.show({ name: sealed }); // { name: '«sealed»' }
 */
export function privacyView({ realm, stateOf, privacyKey, now = Date.now }: ViewOptions): PrivacyView {
  const rows = new Map<string, { readonly until: number; readonly row: Promise<KeyRow | undefined> }>();
  const rowOf = (subject: string): Promise<KeyRow | undefined> => {
    const known = rows.get(subject);
    if (known !== undefined && known.until > now()) return known.row;
    if (rows.size >= SUBJECTS_KEPT_MAX) rows.clear();
    const row = stateOf?.(subject) ?? Promise.resolve(undefined);
    rows.set(subject, { until: now() + SUBJECT_KEPT_MS, row });
    return row;
  };
  const isGone = (row: KeyRow | undefined, { [SEALED]: { kid } }: Sealed): boolean =>
    row?.state === 'redacted' || (row?.state === 'active' && row.kid !== kid);
  const shownAs = async (sealed: Sealed): Promise<unknown> => {
    const row = await rowOf(sealed[SEALED].subject);
    if (isGone(row, sealed)) return REDACTED_MARK;
    if (privacyKey === undefined || row?.state !== 'active') return SEALED_MARK;
    const plain = open(sealed, realm, unwrapRow(row, realm, privacyKey));
    // Data of several persons: F2 of effects.ts.
    return isSealed(plain) ? await shownAs(plain) : plain;
  };
  return {
    async isRedacted(sealed) {
      return isGone(await rowOf(sealed[SEALED].subject), sealed);
    },

    async show<T>(value: T): Promise<T> {
      const shown = new Map<Sealed, unknown>();
      for (const sealed of sealedIn(value)) shown.set(sealed, await shownAs(sealed));
      return (shown.size === 0 ? value : replaceSealed(value, (sealed) => shown.get(sealed))) as T;
    },
  };
}
