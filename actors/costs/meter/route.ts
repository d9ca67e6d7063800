/**
 * Where a call goes and who pays, from its path, its headers and its token. Pure.
 *
 *   [/session/ID][/swarm/ID][/task/ID]/PROVIDER/v1/…
 */
import { isActorId } from '#schemas/address';
import type { Refusal } from './wire.ts';

export const SESSION_HEADER = 'if-session';
export const TASK_HEADER = 'if-task';
export const SWARM_HEADER = 'if-swarm';
const NAMES = ['session', 'swarm', 'task'] as const;

/** Who uses it, and for what. */
export interface Payer {
  readonly session: string | null;
  readonly task: string | null;
  readonly swarm: string | null;
  /** The account that pays, where the caller’s token names one. */
  readonly account: string | undefined;
  /** The token is that of this session: what it says of other things is its word alone. */
  readonly isBound: boolean;
}

export interface Caller {
  readonly session: string | undefined;
  readonly swarm: string | undefined;
  readonly account: string | undefined;
}

export interface Route {
  readonly provider: string;
  /** Behind the address of the provider, with the query. */
  readonly path: string;
  readonly query: string;
  readonly named: Readonly<Partial<Record<(typeof NAMES)[number], string>>>;
}

/** Undefined for what leads nowhere. */
export function routeOf(target: string): Route | undefined {
  const [path = '', ...queries] = target.split('?');
  // Escapes, empty and dotted parts, the empty one at the end too: what this reads and what a provider reads must be the same path.
  if (!/^(?:\/[A-Za-z0-9._@+=~:-]+)+$/.test(path) || /\/\.{1,2}(?:\/|$)/.test(path)) return undefined;
  const parts = path.slice(1).split('/');
  const named: Record<string, string> = {};
  while (NAMES.includes(parts[0] as (typeof NAMES)[number]) && parts.length > 2) {
    const [name = '', value = ''] = parts.splice(0, 2);
    if (!isActorId(value) || Object.hasOwn(named, name)) return undefined;
    named[name] = value;
  }
  const [provider, ...rest] = parts;
  if (provider === undefined || rest.length === 0) return undefined;
  const query = queries.length === 0 ? '' : `?${queries.join('?')}`;
  return { provider, path: `/${rest.join('/')}`, query, named };
}

/** A token that is of one session speaks for no other. */
export function payerOf(
  caller: Caller,
  { named }: Route,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): { readonly ok: true; readonly payer: Payer } | { readonly ok: false; readonly refusal: Refusal } {
  const told = (name: (typeof NAMES)[number], header: string): string | undefined | null => {
    const given = headers[header];
    if (given === undefined) return named[name];
    const isSame = named[name] === undefined || named[name] === given;
    return typeof given === 'string' && isActorId(given) && isSame ? given : null;
  };
  const session = told('session', SESSION_HEADER);
  const task = told('task', TASK_HEADER);
  const swarm = told('swarm', SWARM_HEADER);
  if (session === null || task === null || swarm === null)
    return {
      ok: false,
      refusal: {
        kind: 'bad_request',
        message: 'The names of session, swarm and task are no ids, or differ.',
      },
    };
  for (const [own, other] of [
    [caller.session, session],
    [caller.swarm, swarm],
  ]) {
    if (own !== undefined && other !== undefined && own !== other)
      return {
        ok: false,
        refusal: { kind: 'forbidden', message: `This token is that of ${own}, not of ${other}.` },
      };
  }
  return {
    ok: true,
    payer: {
      session: caller.session ?? session ?? null,
      swarm: caller.swarm ?? swarm ?? null,
      task: task ?? null,
      account: caller.account,
      isBound: caller.session !== undefined,
    },
  };
}
