/** What the meter has to know of a provider's wire format. */
import type { Piece } from './tally.ts';

/** Why a call is not forwarded, or has no answer. */
export type RefusalKind =
  | 'bad_request'
  | 'no_token'
  | 'forbidden'
  | 'not_found'
  | 'too_large'
  | 'unknown_model'
  | 'no_budget'
  | 'busy'
  | 'realm_away'
  | 'provider_away'
  | 'provider_silent';

export interface Refusal {
  readonly kind: RefusalKind;
  readonly message: string;
}

/** Kinds that the same call may get over by itself. */
const PASSING: ReadonlySet<RefusalKind> = new Set(['busy', 'realm_away', 'provider_away', 'provider_silent']);
const AGAIN_AFTER_S = 1;

/** A kind of call that is counted. */
export interface Endpoint {
  /** Behind the address of the provider. */
  readonly path: string;
  /** Fields that bound the tokens of an answer; the largest counts. None: there are none. */
  readonly outputLimits: readonly string[];
  /** Field that says how many answers are wanted. */
  readonly choices?: string;
  /** Fields whose truth makes a call one that cannot be counted. */
  readonly uncountable: readonly string[];
  /** Whether its models may think out of sight; a field: only where a request has it. */
  readonly thinks: boolean | string;
  /** Usage comes in a stream only where `stream_options` ask for it. */
  readonly asksForUsage?: true;
  /** Of a whole answer. */
  answer(body: unknown): Piece;
  /** Of an event of a stream. */
  event(data: unknown): Piece;
  /** An event that is there only because the meter asked for usage. */
  isUsageOnly?(data: unknown): boolean;
}

export interface Wire {
  readonly endpoints: readonly Endpoint[];
  /** The header that carries a key. */
  key(key: string): readonly [name: string, value: string];
  /** What an agent’s SDK has to be told, and in which variable. */
  base(url: string): { readonly variable: string; readonly url: string };
  /** Status and body of a refusal, as the provider itself would say it. */
  refusal(refusal: Refusal): { readonly status: number; readonly body: object };
}

/** Headers of a refusal. The SDKs of both providers heed `x-should-retry`. */
export function refusalHeaders({ kind }: Refusal): Record<string, string> {
  const base = { 'content-type': 'application/json' };
  return PASSING.has(kind)
    ? { ...base, 'retry-after': String(AGAIN_AFTER_S) }
    : { ...base, 'x-should-retry': 'false' };
}

export type Fields = Readonly<Record<string, unknown>>;

/** An empty one for what is no object. */
export function object(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function string(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
