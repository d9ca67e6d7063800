/** OpenAI, and whoever speaks like it: chat completions, responses, embeddings. */
import { type Piece, type Told, tokenCount } from './tally.ts';
import { type Endpoint, type Fields, object, type RefusalKind, string, type Wire } from './wire.ts';

const chat: Endpoint = {
  path: '/v1/chat/completions',
  outputLimits: ['max_completion_tokens', 'max_tokens'],
  choices: 'n',
  uncountable: [],
  thinks: true,
  asksForUsage: true,
  answer: (body) => {
    const { id, usage } = object(body);
    return pieceOf(id, chatUsage(object(usage)));
  },
  event: (data) => {
    const { id, usage, choices } = object(data);
    const made = (Array.isArray(choices) ? choices : []).map((choice) => madeBy(object(choice)['delta']));
    return { ...pieceOf(id, chatUsage(object(usage))), made: made.join('') };
  },
  isUsageOnly: (data) => {
    const { usage, choices } = object(data);
    return Array.isArray(choices) && choices.length === 0 && typeof usage === 'object' && usage !== null;
  },
};

const responses: Endpoint = {
  path: '/v1/responses',
  outputLimits: ['max_output_tokens'],
  // It would be answered before it has cost anything.
  uncountable: ['background'],
  thinks: true,
  answer: (body) => {
    const { id, usage } = object(body);
    return pieceOf(id, responseUsage(object(usage)));
  },
  event: (data) => {
    const { type, delta, response } = object(data);
    const { id, usage } = object(response);
    const made = string(type)?.endsWith('.delta') === true ? string(delta) : undefined;
    return { ...pieceOf(id, responseUsage(object(usage))), ...(made !== undefined && { made }) };
  },
};

const embeddings: Endpoint = {
  path: '/v1/embeddings',
  outputLimits: [],
  uncountable: [],
  thinks: false,
  answer: (body) => {
    const input = tokenCount(object(object(body)['usage'])['prompt_tokens']);
    return pieceOf(undefined, input === undefined ? undefined : { input, output: 0 });
  },
  event: () => ({}),
};

/** Status, type and code. */
const REFUSALS: Readonly<Record<RefusalKind, readonly [status: number, type: string, code: string | null]>> =
  {
    bad_request: [400, 'invalid_request_error', null],
    no_token: [401, 'invalid_request_error', 'invalid_api_key'],
    forbidden: [403, 'invalid_request_error', 'permission_denied'],
    not_found: [404, 'invalid_request_error', 'unknown_url'],
    too_large: [413, 'invalid_request_error', 'request_too_large'],
    unknown_model: [404, 'invalid_request_error', 'model_not_found'],
    no_budget: [429, 'insufficient_quota', 'insufficient_quota'],
    busy: [503, 'server_error', 'overloaded'],
    realm_away: [503, 'server_error', 'unavailable'],
    provider_away: [502, 'server_error', 'bad_gateway'],
    provider_silent: [504, 'server_error', 'timeout'],
  };

export const openai: Wire = {
  endpoints: [chat, responses, embeddings],
  key: (key) => ['authorization', `Bearer ${key}`],
  base: (url) => ({ variable: 'OPENAI_BASE_URL', url: `${url}/v1` }),
  refusal: ({ kind, message }) => {
    const [status, type, code] = REFUSALS[kind];
    return { status, body: { error: { message, type, param: null, code } } };
  },
};

/** Prompt tokens hold the cached ones. */
function chatUsage(usage: Fields): Told | undefined {
  const cached = object(usage['prompt_tokens_details'])['cached_tokens'];
  return told(usage['prompt_tokens'], cached, usage['completion_tokens']);
}

function responseUsage(usage: Fields): Told | undefined {
  const cached = object(usage['input_tokens_details'])['cached_tokens'];
  return told(usage['input_tokens'], cached, usage['output_tokens']);
}

function told(prompt: unknown, cached: unknown, completion: unknown): Told | undefined {
  const [all, output] = [tokenCount(prompt), tokenCount(completion)];
  const cachedInput = cached === undefined || cached === null ? 0 : tokenCount(cached);
  if (all === undefined || output === undefined || cachedInput === undefined || cachedInput > all)
    return undefined;
  return { input: all - cachedInput, cachedInput, output };
}

function pieceOf(id: unknown, usage: Told | undefined): Piece {
  const named = string(id);
  return {
    ...(usage !== undefined && { told: usage, isLast: true }),
    ...(named !== undefined && { id: named }),
  };
}

/** Text, reasoning, refusals and arguments of tools: all that a model is paid for. */
function madeBy(delta: unknown): string {
  const { content, refusal, reasoning_content: reasoning, tool_calls: calls } = object(delta);
  const args = (Array.isArray(calls) ? calls : []).map((call) => {
    const { name, arguments: text } = object(object(call)['function']);
    return `${string(name) ?? ''}${string(text) ?? ''}`;
  });
  return [string(content), string(refusal), string(reasoning), ...args].join('');
}
