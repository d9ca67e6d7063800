/** Keys as lines. */
import type { RingKey, Role } from '#schemas/keyring';
import type { Out } from '../io.ts';
import { clock, plural, relative } from './format.ts';
import { table } from './table.ts';

/** A public key, and whether its private half lies here. */
export interface ListedKey
  extends Partial<
    Pick<RingKey, 'since' | 'until' | 'distrustedFrom' | 'reason' | 'by' | 'successor' | 'proven'>
  > {
  readonly kid: string;
  readonly owner: string;
  readonly role: Role;
  /** `unregistered`: a file that the realm does not know. */
  readonly status: RingKey['status'] | 'unregistered';
  readonly publicKey: string;
  readonly nkey: string;
  readonly isHere: boolean;
}

export function listLines(
  keys: readonly ListedKey[],
  hidden: number,
  isRunning: boolean,
  out: Out,
): string[] {
  const { faint, name } = out.palette;
  const remarks = [
    ...(hidden > 0 ? [faint(`${plural(hidden, 'key')} rotated or revoked: --all shows them`)] : []),
    ...(isRunning ? [] : [faint('The realm does not run: these are the files that lie here.')]),
  ];
  if (keys.length === 0)
    return [faint('No keys yet. `infrafabric keys new guardian/alice` makes one.'), ...remarks];
  const rows = keys.map((key) => [
    name(key.owner),
    key.role,
    statusText(key, out),
    key.isHere ? 'here' : '',
    key.kid,
    key.nkey,
  ]);
  const columns = ['owner', 'role', 'status', 'private', 'kid', 'nkey'].map((title) => ({ title }));
  return [...table(columns, rows, out), ...remarks];
}

export function keyLines(
  key: ListedKey & { readonly verifierKey?: string },
  now: number,
  out: Out,
): string[] {
  const { name, faint } = out.palette;
  const { since, until, distrustedFrom, reason, by, successor, proven } = key;
  return [
    `${name(key.owner)}  ${statusText(key, out)}  ${faint(key.role)}`,
    `  kid         ${key.kid}`,
    `  public key  ${key.publicKey}`,
    `  nkey        ${key.nkey}`,
    ...(key.verifierKey === undefined ? [] : [`  verifier    ${key.verifierKey}`]),
    ...(since === undefined
      ? []
      : [`  since       ${clock(since, now)} ${faint(`${relative(since, now)}, by ${by ?? ''}`)}`]),
    ...(until === undefined ? [] : [`  until       ${clock(until, now)}`]),
    ...(distrustedFrom === undefined ? [] : [`  distrusted  from ${clock(distrustedFrom, now)}`]),
    ...(reason === undefined ? [] : [`  reason      ${reason.replace(/\p{Cc}/gu, ' ')}`]),
    ...(successor === undefined ? [] : [`  successor   ${successor}`]),
    ...(proven === false ? [faint('  Its owner has not shown to have the private half.')] : []),
    `  private     ${key.isHere ? 'lies here' : 'not here'}`,
  ];
}

function statusText({ status }: ListedKey, { palette: { good, bad, warn, faint } }: Out): string {
  switch (status) {
    case 'active':
      return good(status);
    case 'revoked':
      return bad(status);
    case 'rotated':
      return faint(status);
    case 'unregistered':
      return warn(status);
  }
}
