/** Anthropic: messages. */
import { type Told, tokenCount } from './tally.ts';
import { type Endpoint, type Fields, object, type RefusalKind, string, type Wire } from './wire.ts';

const THINKING: ReadonlySet<string> = new Set(['thinking', 'redacted_thinking']);

const messages: Endpoint = {
  path: '/v1/messages',
  outputLimits: ['max_tokens'],
  uncountable: [],
  thinks: 'thinking',
  answer: (body) => {
    const { id, usage } = object(body);
    const told = usageOf(object(usage));
    const named = string(id);
    return {
      ...(told?.input !== undefined && told.output !== undefined && { told, isLast: true }),
      ...(named !== undefined && { id: named }),
    };
  },
  event: (data) => {
    const { type, message, content_block: block, delta, usage } = object(data);
    switch (type) {
      case 'message_start': {
        const { id, usage: first } = object(message);
        const named = string(id);
        return { told: usageOf(object(first)) ?? {}, ...(named !== undefined && { id: named }) };
      }
      case 'content_block_start':
        // What is shown of it is a summary, or nothing.
        return THINKING.has(string(object(block)['type']) ?? '') ? { isThought: true } : {};
      case 'content_block_delta': {
        const { text, partial_json: json, thinking } = object(delta);
        return { made: [string(text), string(json), string(thinking)].join('') };
      }
      case 'message_delta': {
        // Sums so far; the last one is the sum of all.
        const told = usageOf(object(usage));
        return told?.output === undefined ? {} : { told, isLast: true };
      }
      default:
        return {};
    }
  },
};

const REFUSALS: Readonly<Record<RefusalKind, readonly [status: number, type: string]>> = {
  bad_request: [400, 'invalid_request_error'],
  no_token: [401, 'authentication_error'],
  forbidden: [403, 'permission_error'],
  not_found: [404, 'not_found_error'],
  too_large: [413, 'request_too_large'],
  unknown_model: [404, 'not_found_error'],
  no_budget: [402, 'billing_error'],
  busy: [529, 'overloaded_error'],
  realm_away: [503, 'api_error'],
  provider_away: [502, 'api_error'],
  provider_silent: [504, 'timeout_error'],
};

export const anthropic: Wire = {
  endpoints: [messages],
  key: (key) => ['x-api-key', key],
  base: (url) => ({ variable: 'ANTHROPIC_BASE_URL', url }),
  refusal: ({ kind, message }) => {
    const [status, type] = REFUSALS[kind];
    return { status, body: { type: 'error', error: { type, message } } };
  },
};

/** Undefined where a figure is none; what is not there is not told. */
function usageOf(usage: Fields): Told | undefined {
  const {
    input_tokens: input,
    output_tokens: output,
    cache_read_input_tokens: read,
    cache_creation_input_tokens: written,
  } = usage;
  const long = object(usage['cache_creation'])['ephemeral_1h_input_tokens'];
  const figures = [input, output, read, written, long].filter((one) => one !== undefined && one !== null);
  if (figures.some((one) => tokenCount(one) === undefined)) return undefined;
  const [all, ofLong] = [tokenCount(written), tokenCount(long) ?? 0];
  if (all !== undefined && ofLong > all) return undefined;
  return {
    ...count('input', input),
    ...count('output', output),
    ...count('cachedInput', read),
    ...(all !== undefined && { cacheWrite: all - ofLong, cacheWriteLong: ofLong }),
  };
}

function count(name: keyof Told, value: unknown): Told {
  const figure = tokenCount(value);
  return figure === undefined ? {} : { [name]: figure };
}
