/**
 * What a call asks for, and the body that is forwarded. Pure.
 *
 * Q1  What is read here is what the provider reads: a field that is there twice is refused, and so is one that some readers would
 *     take for one that counts since they pay no heed to case; a number that bounds an answer has to be one.
 * Q2  The body goes on as it came, byte for byte, but for the one field that asks for usage.
 */
import { fieldsOf, withField } from './top-level.ts';
import { type Endpoint, object, type Refusal } from './wire.ts';

const OUTPUT_TOKENS_MAX = 100_000_000;
const CHOICES_MAX = 128;
const USAGE_FIELD = 'stream_options';

export interface Wanted {
  readonly model: string;
  readonly isStream: boolean;
  /** Tokens of all answers at most; undefined where the request does not say. */
  readonly outputMax: number | undefined;
  readonly choices: number;
  /** What is forwarded. */
  readonly body: string;
  /** Its model may think out of sight. */
  readonly thinks: boolean;
  /** The caller did not ask for usage: it does not see it. */
  readonly isUsageHidden: boolean;
}

export type Reading =
  | { readonly ok: true; readonly wanted: Wanted }
  | { readonly ok: false; readonly refusal: Refusal };

export function readRequest(text: string, endpoint: Endpoint): Reading {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return bad('the body is no JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    return bad('the body is no JSON object');
  const fields = fieldsOf(text);
  if (fields === undefined) return bad('the body has a field twice');
  const alike = likeOneOf(countedBy(endpoint), fields.keys());
  if (alike !== undefined) return bad(`"${alike}" could be read as a field that counts`);
  const data = object(parsed);
  const { model, stream } = data;
  if (typeof model !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(model))
    return bad('"model" has to name a model');
  const uncountable = endpoint.uncountable.find((name) => data[name] !== undefined && data[name] !== false);
  if (uncountable !== undefined) return bad(`"${uncountable}" cannot be counted, and is not forwarded`);
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean')
    return bad('"stream" is true or false');
  const limits = endpoint.outputLimits.map((name) => data[name]).filter(isGiven);
  if (!limits.every((limit) => isCount(limit, OUTPUT_TOKENS_MAX)))
    return bad(`${endpoint.outputLimits.join(', ')}: a whole number from 1`);
  const choices = endpoint.choices === undefined ? undefined : data[endpoint.choices];
  if (isGiven(choices) && !isCount(choices, CHOICES_MAX))
    return bad(`"${endpoint.choices}" is a whole number from 1`);
  const isStream = stream === true;
  const options = object(data[USAGE_FIELD]);
  const isAsked = endpoint.asksForUsage === true && isStream && options['include_usage'] !== true;
  return {
    ok: true,
    wanted: {
      model,
      isStream,
      outputMax: limits.length === 0 ? undefined : Math.max(...(limits as number[])),
      choices: isCount(choices, CHOICES_MAX) ? choices : 1,
      body: isAsked ? withField(text, fields, USAGE_FIELD, { ...options, include_usage: true }) : text,
      thinks: typeof endpoint.thinks === 'string' ? isGiven(data[endpoint.thinks]) : endpoint.thinks,
      isUsageHidden: isAsked,
    },
  };
}

/** The fields that are read here. */
function countedBy({ outputLimits, choices, uncountable, thinks }: Endpoint): ReadonlySet<string> {
  return new Set([
    'model',
    'stream',
    USAGE_FIELD,
    ...outputLimits,
    ...(choices === undefined ? [] : [choices]),
    ...uncountable,
    ...(typeof thinks === 'string' ? [thinks] : []),
  ]);
}

function likeOneOf(counted: ReadonlySet<string>, names: Iterable<string>): string | undefined {
  for (const name of names) {
    // There and back: some letters have two small forms.
    if (!counted.has(name) && counted.has(name.toUpperCase().toLowerCase())) return name;
  }
  return undefined;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;
}

function bad(message: string): Reading {
  return {
    ok: false,
    refusal: { kind: 'bad_request', message: `The meter cannot count this call: ${message}.` },
  };
}
