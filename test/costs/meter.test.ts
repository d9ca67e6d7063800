import { once } from 'node:events';
import { connect } from 'node:net';
import Anthropic from '@anthropic-ai/sdk';
import anyTest, { type TestFn } from 'ava';
import OpenAI from 'openai';
import { amountMicros } from '#machines/costs/amount';
import { until } from '../rig/load.ts';
import { Metered, PROVIDER_KEY, TOKEN, TOKEN_OF_A } from './metered.ts';
import { type Manner, USUAL } from './stand-in-provider.ts';

const test = anyTest as TestFn<{ metered: Metered; url: string }>;

const RICH = 1_000_000;
const MESSAGES = [{ role: 'user' as const, content: 'Say hello.' }];

test.before(async (t) => {
  t.context.metered = await Metered.start();
  t.context.url = (await t.context.metered.open()).url;
});
test.beforeEach((t) => {
  t.context.metered.provider.manner = { ...USUAL };
  t.context.metered.provider.seen.length = 0;
  t.context.metered.provider.broken = 0;
});
test.after.always(async (t) => {
  await t.context.metered?.[Symbol.asyncDispose]();
});

/** The official SDKs as an agent has them: base URL and key are all that is different. */
function sdks(url: string, session: string, apiKey = TOKEN) {
  return {
    openai: new OpenAI({ baseURL: `${url}/session/${session}/openai/v1`, apiKey, maxRetries: 2 }),
    anthropic: new Anthropic({
      baseURL: `${url}/session/${session}/anthropic`,
      apiKey,
      authToken: null,
      maxRetries: 2,
    }),
  };
}

test.serial(
  'calls in one piece are counted by the provider’s own figures, and charged to the micro-unit',
  async (t) => {
    const { metered, url } = t.context;
    await metered.limit('session:whole', RICH);
    const { openai, anthropic } = sdks(url, 'whole');
    const chat = await openai.chat.completions.create({ model: 'large-1', messages: MESSAGES });
    t.is(chat.choices[0]?.message.content, 'Hello wörld.');
    t.is(chat.usage?.prompt_tokens, 1_200);
    const response = await openai.responses.create({ model: 'large-1-2026-02-03', input: 'Say hello.' });
    t.is(response.output_text, 'Hello wörld.');
    t.is(
      (await openai.embeddings.create({ model: 'vector-1', input: 'hello', encoding_format: 'float' }))
        .data[0]?.embedding.length,
      2,
    );
    const message = await anthropic.messages.create({ model: 'poet-4', max_tokens: 100, messages: MESSAGES });
    t.deepEqual(
      message.content.map((block) => block.type === 'text' && block.text),
      ['Hello wörld.'],
    );

    const records = await metered.charged('whole', 4);
    const by = (model: string) => records.find((record) => record.model === model);
    t.like(by('large-1'), {
      counted: 'provider',
      source: 'meter',
      outcome: 'complete',
      tokens: { input: 1_000, cachedInput: 200, output: 50 },
      amountMicros: 1_000 * 2 + 200 + 50 * 10,
      price: { row: 'openai/large-1@2026-01-01' },
    });
    t.like(by('large-1-2026-02-03'), {
      tokens: { input: 1_000, cachedInput: 200, output: 50 },
      amountMicros: 2_700,
    });
    t.like(by('vector-1'), { tokens: { input: 1_000, output: 0 }, amountMicros: 1_000 });
    t.like(by('poet-4'), {
      tokens: { input: 1_000, cachedInput: 200, cacheWrite: 40, cacheWriteLong: 30, output: 50 },
      amountMicros: 3_000 + 200 + 160 + 180 + 750,
    });
    const sum = records.reduce((all, record) => all + (record.amountMicros ?? 0), 0);
    t.like(await metered.settled('session:whole'), { spent: { micros: sum }, over: { micros: 0 } });

    // What the provider saw: its key, never the token; a trace that the record has, too.
    const [seen] = metered.provider.seen;
    t.is(seen?.path, '/v1/chat/completions');
    t.is(seen?.headers.authorization, `Bearer ${PROVIDER_KEY}`);
    t.is(by('large-1')?.trace, /^00-([0-9a-f]{32})-/.exec(String(seen?.headers['traceparent']))?.[1]);
    t.is(metered.provider.seen.at(-1)?.headers['x-api-key'], PROVIDER_KEY);
    t.false(JSON.stringify(metered.provider.seen).includes(TOKEN));
    t.false(JSON.stringify([metered.news, metered.realm.events]).includes(PROVIDER_KEY));
  },
);

test.serial('streams are counted too; usage that the caller did not ask for is not shown', async (t) => {
  const { metered, url } = t.context;
  await metered.limit('session:stream', RICH);
  const { openai, anthropic } = sdks(url, 'stream');
  const chunks = await Array.fromAsync(
    await openai.chat.completions.create({ model: 'large-1', messages: MESSAGES, stream: true }),
  );
  t.is(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), 'Hello wörld.');
  t.true(chunks.every(({ choices }) => choices.length === 1));
  t.deepEqual(JSON.parse(metered.provider.seen[0]?.body ?? '').stream_options, { include_usage: true });
  const asked = await Array.fromAsync(
    await openai.chat.completions.create({
      model: 'large-1',
      messages: MESSAGES,
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  t.is(asked.at(-1)?.usage?.completion_tokens, 50);
  const events = await Array.fromAsync(
    await openai.responses.create({ model: 'large-1', input: 'x', stream: true }),
  );
  t.is(events.at(-1)?.type, 'response.completed');
  const final = await anthropic.messages
    .stream({ model: 'poet-4', max_tokens: 100, messages: MESSAGES })
    .finalMessage();
  t.is(final.usage.output_tokens, 50);

  const records = await metered.charged('stream', 4);
  for (const { tokens, counted, outcome } of records) {
    t.like(tokens, { input: 1_000, cachedInput: 200, output: 50 });
    t.is(`${counted} ${outcome}`, 'provider complete');
  }
  const sum = records.reduce((all, record) => all + (record.amountMicros ?? 0), 0);
  t.like(await metered.settled('session:stream'), { spent: { micros: sum } });
});

test.serial('a chunk goes on as soon as it is there', async (t) => {
  const { metered, url } = t.context;
  await metered.limit('session:pace', RICH);
  const { openai, anthropic } = sdks(url, 'pace');
  // The provider says the next word only when the caller has had the last one.
  let taken = Promise.withResolvers<void>();
  metered.provider.manner.pace = () => taken.promise;
  const streams = [
    async () => openai.chat.completions.create({ model: 'large-1', messages: MESSAGES, stream: true }),
    async () =>
      anthropic.messages.create({ model: 'poet-4', max_tokens: 9, messages: MESSAGES, stream: true }),
  ];
  for (const open of streams) {
    let words = '';
    for await (const event of await open()) {
      const word =
        'choices' in event
          ? event.choices[0]?.delta.content
          : event.type === 'content_block_delta' && event.delta.type === 'text_delta'
            ? event.delta.text
            : '';
      if (!word) continue;
      words += word;
      const now = taken;
      taken = Promise.withResolvers();
      now.resolve();
    }
    t.is(words, 'Hello wörld.');
  }
  t.is((await metered.charged('pace', 2)).length, 2);
});

test.serial(
  'a budget that does not hold what a call may cost refuses it as the provider would, once, before anything is sent',
  async (t) => {
    const { metered, url } = t.context;
    // The output alone may cost 1,000 × 10.
    await metered.limit('session:poor', 10_000);
    const { openai, anthropic } = sdks(url, 'poor');
    const refused = await t.throwsAsync(
      openai.chat.completions.create({ model: 'large-1', messages: MESSAGES }),
      {
        instanceOf: OpenAI.RateLimitError,
      },
    );
    t.like(refused, { status: 429, code: 'insufficient_quota', type: 'insufficient_quota' });
    t.regex(refused.message, /session:poor/);
    const stream = openai.responses.create({ model: 'large-1', input: 'x', stream: true });
    await t.throwsAsync(stream, { instanceOf: OpenAI.RateLimitError });
    const unpaid = await t.throwsAsync(
      anthropic.messages.create({ model: 'poet-4', max_tokens: 5_000, messages: MESSAGES }),
      {
        instanceOf: Anthropic.APIError,
      },
    );
    t.like(unpaid, { status: 402, type: 'billing_error' });
    t.is(metered.provider.seen.length, 0, 'nothing reached the provider, and no SDK tried again');
    // A smaller one fits.
    await openai.chat.completions.create({ model: 'large-1', messages: MESSAGES, max_completion_tokens: 10 });
    const [record] = await metered.charged('poor', 1);
    t.like(await metered.settled('session:poor'), { spent: { micros: record?.amountMicros ?? -1 } });
  },
);

test.serial('however many ask at once, no more is let through than the budget holds', async (t) => {
  const { metered, url } = t.context;
  await metered.limit('session:crowd', 50_000);
  metered.provider.manner = { ...USUAL, input: 100, cached: 0, output: 900 };
  const { openai } = sdks(url, 'crowd');
  const calls = Array.from({ length: 40 }, () =>
    openai.chat.completions
      .create({ model: 'large-1', messages: MESSAGES, max_tokens: 900 }, { maxRetries: 0 })
      .then(
        () => 'served',
        (error: unknown) => (error instanceof OpenAI.RateLimitError ? 'refused' : String(error)),
      ),
  );
  const ends = await Promise.all(calls);
  const served = ends.filter((end) => end === 'served').length;
  t.is(served + ends.filter((end) => end === 'refused').length, 40, ends.join());
  t.true(served >= 1 && served <= 5);
  await metered.charged('crowd', served);
  const account = await metered.settled('session:crowd');
  t.is(account.spent.micros, served * (100 * 2 + 900 * 10));
  t.is(account.over.micros, 0);
});

test.serial(
  'a call that finds its place in what is held ahead is forwarded without asking the realm',
  async (t) => {
    const { metered } = t.context;
    await metered.limit('session:ahead', RICH);
    // No more than its body has bytes: else it would take more than was held for it.
    metered.provider.manner = { ...USUAL, input: 50, cached: 10 };
    const { budgets } = metered;
    const realm = { answers: Promise.withResolvers<void>() };
    realm.answers.resolve();
    const asked: string[] = [];
    const slow = {
      ...budgets,
      reserve: async (...args: Parameters<typeof budgets.reserve>) => {
        asked.push('reserve');
        return await budgets.reserve(...args);
      },
      draw: async (...args: Parameters<typeof budgets.draw>) => {
        await realm.answers.promise;
        return await budgets.draw(...args);
      },
    };
    const meter = await metered.open({ till: { budgets: slow, idleMs: 600_000 } });
    const { openai } = sdks(meter.url, 'ahead');
    const call = () => openai.chat.completions.create({ model: 'large-1', messages: MESSAGES });
    await call();
    await metered.charged('ahead', 1);
    realm.answers = Promise.withResolvers();
    await call();
    await call();
    t.deepEqual(asked, ['reserve'], 'the first call only');
    const reserved = (await budgets.account('session:ahead'))?.account.reserved.micros ?? 0;
    t.true(reserved > 20_000 && reserved < 30_000, `${reserved}: what two calls may cost`);
    realm.answers.resolve();
    const records = await metered.charged('ahead', 3);
    await metered.end(meter);
    const account = await metered.settled('session:ahead');
    t.is(
      account.spent.micros,
      records.reduce((sum, { amountMicros: amount }) => sum + (amount ?? 0), 0),
    );
  },
);

test.serial('who goes away mid-stream ends the call, and pays for what may have been made', async (t) => {
  const { metered, url } = t.context;
  await metered.limit('session:gone', RICH);
  const { openai, anthropic } = sdks(url, 'gone');
  const words = Array.from({ length: 100 }, (_, n) => `word${n} `);
  const held = Promise.withResolvers<void>();
  const slow: Partial<Manner> = { words, pace: async (word) => (word >= 10 ? held.promise : undefined) };
  metered.provider.manner = { ...USUAL, ...slow };
  const chat = await openai.chat.completions.create({
    model: 'large-1',
    messages: MESSAGES,
    stream: true,
    max_completion_tokens: 300,
  });
  let heard = 0;
  for await (const { choices } of chat) {
    if (choices[0]?.delta.content) heard += 1;
    if (heard === 10) chat.controller.abort();
  }
  const [first] = await metered.charged('gone', 1);
  t.like(first, { outcome: 'aborted', counted: 'estimated' });
  // Ten words came; what the model thought before them nobody saw.
  t.is(first?.tokens.output, 300);
  t.true((first?.tokens.input ?? 0) > 10 && (first?.tokens.input ?? 0) < 100);

  const message = await anthropic.messages.create({
    model: 'poet-4',
    max_tokens: 200,
    messages: MESSAGES,
    stream: true,
  });
  heard = 0;
  for await (const event of message) {
    if (event.type === 'content_block_delta') heard += 1;
    if (heard === 10) message.controller.abort();
  }
  // Ten words of six bytes, and no thoughts: nobody asked for them.
  const second = (await metered.charged('gone', 2)).find(({ provider }) => provider === 'anthropic');
  t.like(second, {
    outcome: 'aborted',
    counted: 'estimated',
    tokens: { input: 1_000, cachedInput: 200, output: 15 },
  });
  t.is(metered.provider.broken, 2, 'the provider was told to stop');
  held.resolve();
  const sum = (first?.amountMicros ?? 0) + (second?.amountMicros ?? 0);
  t.like(await metered.settled('session:gone'), { spent: { micros: sum } });
});

test.serial(
  'who goes away before a stream begins pays for what the provider has read, and may have thought',
  async (t) => {
    const { metered, url } = t.context;
    await metered.limit('session:early', RICH);
    const arrived = Promise.withResolvers<void>();
    metered.provider.heard = arrived.resolve;
    metered.provider.manner = { ...USUAL, isSilent: true };
    const gone = new AbortController();
    const { openai } = sdks(url, 'early');
    const call = openai.chat.completions.create(
      { model: 'large-1', messages: MESSAGES, stream: true, max_completion_tokens: 300 },
      { signal: gone.signal },
    );
    await arrived.promise;
    gone.abort();
    await t.throwsAsync(call, { instanceOf: OpenAI.APIUserAbortError });
    const [record] = await metered.charged('early', 1);
    t.like(record, { outcome: 'aborted', counted: 'estimated', tokens: { output: 300 } });
    t.true((record?.tokens.input ?? 0) > 10);
    // The provider hears of it a moment later, which must not be in the next test.
    await until(async () => metered.provider.broken === 1);
  },
);

test.serial('who goes away from an answer in one piece pays what the provider says', async (t) => {
  const { metered, url } = t.context;
  await metered.limit('session:left', RICH);
  const { provider } = metered;
  const [arrived, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  provider.heard = arrived.resolve;
  provider.manner = { ...USUAL, waits: answer.promise };
  const gone = new AbortController();
  const { openai } = sdks(url, 'left');
  const call = openai.chat.completions.create(
    { model: 'large-1', messages: MESSAGES },
    { signal: gone.signal },
  );
  await arrived.promise;
  gone.abort();
  await t.throwsAsync(call, { instanceOf: OpenAI.APIUserAbortError });
  answer.resolve();
  t.like((await metered.charged('left', 1))[0], { counted: 'provider', amountMicros: 2_700 });
  t.is(provider.broken, 0);
});

test.serial(
  'errors of the provider pass as they are and cost nothing; what it began costs what it may have made',
  async (t) => {
    const { metered, url } = t.context;
    await metered.limit('session:bad', RICH);
    const { openai, anthropic } = sdks(url, 'bad');
    const { provider } = metered;
    const body = {
      error: { message: 'too fast', type: 'requests', param: null, code: 'rate_limit_exceeded' },
    };
    provider.manner = { ...USUAL, error: { status: 429, body } };
    const limited = await t.throwsAsync(
      openai.chat.completions.create({ model: 'large-1', messages: MESSAGES }, { maxRetries: 0 }),
      {
        instanceOf: OpenAI.RateLimitError,
      },
    );
    t.is(limited.code, 'rate_limit_exceeded');
    provider.manner = {
      ...USUAL,
      error: { status: 500, body: { type: 'error', error: { type: 'api_error', message: 'oh' } } },
    };
    const calls = provider.seen.length;
    await t.throwsAsync(
      anthropic.messages.create({ model: 'poet-4', max_tokens: 9, messages: MESSAGES }, { maxRetries: 1 }),
      {
        instanceOf: Anthropic.InternalServerError,
      },
    );
    t.is(provider.seen.length - calls, 2, 'what may pass is tried again');
    t.is((await metered.settled('session:bad')).total.micros, 0);

    provider.manner = { ...USUAL, breaksAfter: 2 };
    await t.throwsAsync(async () => {
      for await (const _ of await openai.chat.completions.create({
        model: 'large-1',
        messages: MESSAGES,
        stream: true,
      }))
        t.truthy(_);
    });
    const [broken] = await metered.charged('bad', 1);
    // All that its price allows: it may have thought.
    t.like(broken, { outcome: 'failed', counted: 'estimated', tokens: { output: 1_000 } });

    provider.manner = { ...USUAL, usage: { prompt_tokens: -5, completion_tokens: 'many' } };
    t.truthy(await openai.chat.completions.create({ model: 'large-1', messages: MESSAGES }));
    const malformed = (await metered.charged('bad', 2)).at(-1);
    t.like(malformed, { outcome: 'complete', counted: 'estimated' });
    t.true((malformed?.amountMicros ?? 0) > 0);
  },
);

test.serial(
  'a provider that is silent, or not there, is an error of its own kind, and costs nothing',
  async (t) => {
    const { metered } = t.context;
    await metered.limit('session:silent', RICH);
    const silent = await metered.open({ upstream: { silenceMs: 300 } });
    metered.provider.manner = { ...USUAL, isSilent: true };
    const { anthropic } = sdks(silent.url, 'silent');
    const timeout = await t.throwsAsync(
      anthropic.messages.create({ model: 'poet-4', max_tokens: 9, messages: MESSAGES }, { maxRetries: 0 }),
      { instanceOf: Anthropic.InternalServerError },
    );
    t.like(timeout, { status: 504, type: 'timeout_error' });
    const nowhere = await metered.open({ upstream: { url: 'http://127.0.0.1:9' } });
    const away = sdks(nowhere.url, 'silent').openai;
    const error = await t.throwsAsync(
      away.chat.completions.create({ model: 'large-1', messages: MESSAGES }, { maxRetries: 0 }),
      {
        instanceOf: OpenAI.InternalServerError,
      },
    );
    t.is(error.status, 502);
    t.is((await metered.settled('session:silent')).total.micros, 0);
  },
);

test.serial('what has no price, no budget or another currency is not forwarded, and says why', async (t) => {
  const { metered, url } = t.context;
  await metered.limit('session:odd', RICH);
  const { openai, anthropic } = sdks(url, 'odd');
  const unknown = await t.throwsAsync(
    openai.chat.completions.create({ model: 'large-2', messages: MESSAGES }),
    {
      instanceOf: OpenAI.NotFoundError,
    },
  );
  t.is(unknown.code, 'model_not_found');
  await t.throwsAsync(anthropic.messages.create({ model: 'large-1', max_tokens: 9, messages: MESSAGES }), {
    instanceOf: Anthropic.NotFoundError,
  });
  const franc = await t.throwsAsync(
    openai.chat.completions.create({ model: 'franc-1', messages: MESSAGES }),
    {
      instanceOf: OpenAI.RateLimitError,
    },
  );
  t.regex(franc.message, /USD.*CHF/);
  t.is(metered.provider.seen.length, 0);

  // Counted only: nothing is held, and what has no price is recorded as such.
  const open = await metered.open({ till: { budgets: undefined, isUnpricedForwarded: true } });
  await sdks(open.url, 'free').openai.chat.completions.create({ model: 'large-2', messages: MESSAGES });
  const [record] = await metered.charged('free', 1);
  t.like(record, { model: 'large-2', price: null, amountMicros: null, tokens: { input: 1_000, output: 50 } });
});

test.serial(
  'nobody gets further than the door without a token, or with that of another session',
  async (t) => {
    const { metered, url } = t.context;
    const call = (apiKey: string, session: string) =>
      sdks(url, session, apiKey).openai.chat.completions.create({ model: 'large-1', messages: MESSAGES });
    await t.throwsAsync(call('sk-guess', 'a'), { instanceOf: OpenAI.AuthenticationError });
    await t.throwsAsync(call(TOKEN_OF_A, 'b'), { instanceOf: OpenAI.PermissionDeniedError });
    await t.throwsAsync(
      sdks(url, 'a', 'sk-guess').anthropic.messages.create({
        model: 'poet-4',
        max_tokens: 9,
        messages: MESSAGES,
      }),
      { instanceOf: Anthropic.AuthenticationError },
    );
    t.truthy(await call(TOKEN_OF_A, 'a'), 'the realm pays where no account is nearer');
    t.is(metered.provider.seen.length, 1);
    const header = new OpenAI({
      baseURL: `${url}/openai/v1`,
      apiKey: TOKEN,
      defaultHeaders: { 'if-session': 'h', 'if-task': 'P0.1' },
    });
    await header.chat.completions.create({ model: 'large-1', messages: MESSAGES });
    t.like((await metered.charged('h', 1))[0], { session: 'h', task: 'P0.1' });
  },
);

test.serial('hostile requests are refused, bounded, and reach no provider', async (t) => {
  const { metered, url } = t.context;
  const post = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${url}${path}`, {
      method: 'POST',
      body: '{"model":"large-1","messages":[]}',
      ...init,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...init.headers },
    });
  const path = '/openai/v1/chat/completions';
  const status = async (...args: Parameters<typeof post>): Promise<number> => {
    const response = await post(...args);
    await response.text();
    return response.status;
  };
  t.is(await status(path, { body: '{"model":"large-1","model":"vector-1"}' }), 400);
  t.is(await status(path, { body: '{' }), 400);
  t.is(await status(path, { headers: { 'content-type': 'text/plain' } }), 400);
  t.is(await status(path, { headers: { 'content-encoding': 'gzip' } }), 400);
  t.is(await status(path, { headers: { origin: 'https://evil.example' } }), 403);
  t.is(await status(path, { body: 'x'.repeat(2 ** 20 + 1) }), 413);
  t.is(await status('/openai/v1/chat/../models'), 404);
  t.is(await status('/openai/v1/files'), 404);
  t.is(await status('/nobody/v1/chat/completions'), 404);
  t.is(
    (await fetch(`${url}/openai/v1/models`, { headers: { authorization: `Bearer ${TOKEN}` } })).status,
    404,
  );
  const refusal = await post('/anthropic/v1/messages', { body: '[]' });
  t.is(refusal.headers.get('x-should-retry'), 'false');
  t.like(await refusal.json(), { type: 'error', error: { type: 'invalid_request_error' } });

  // Another Host, as DNS rebinding has it; and headers without end.
  const raw = async (text: string): Promise<string> => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    let got = '';
    socket.setEncoding('utf8').on('data', (chunk) => (got += chunk));
    socket.write(text);
    await once(socket, 'close');
    return got;
  };
  const head = `POST ${path} HTTP/1.1\r\nauthorization: Bearer ${TOKEN}\r\nconnection: close\r\n`;
  t.regex(await raw(`${head}host: evil.example\r\ncontent-length: 2\r\n\r\n{}`), /^HTTP\/1\.1 403/);
  t.regex(await raw(`${head}x: ${'y'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431/);
  t.is(metered.provider.seen.length, 0);

  const busy = await metered.open({ meter: { callsMax: 1, passesOthers: true } });
  metered.provider.manner = { ...USUAL, isSilent: true };
  const arrived = Promise.withResolvers<void>();
  metered.provider.heard = arrived.resolve;
  const waiting = new AbortController();
  const asked = fetch(`${busy.url}/openai/v1/models`, {
    headers: { authorization: `Bearer ${TOKEN}` },
    signal: waiting.signal,
  });
  await arrived.promise;
  const second = await fetch(`${busy.url}/openai/v1/models`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  t.is(second.status, 503);
  t.is(second.headers.get('retry-after'), '1');
  waiting.abort();
  await t.throwsAsync(asked);
  metered.provider.manner = { ...USUAL };
  const models = await metered.open({ meter: { passesOthers: true } });
  const list = new OpenAI({ baseURL: `${models.url}/openai/v1`, apiKey: TOKEN });
  t.is((await list.models.list()).data[0]?.id, 'large-1');
  t.is(metered.provider.seen.at(-1)?.headers.authorization, `Bearer ${PROVIDER_KEY}`);
});

test.serial('sums of what was charged are those of the book and of the realm’s budget', async (t) => {
  const { metered } = t.context;
  const records = metered.news.flatMap((news) => (news.event === 'charged' ? [news.record] : []));
  for (const { tokens, price, amountMicros: amount } of records)
    t.is(amount, price === null ? null : (amountMicros(tokens, price.perMillion) ?? -1));
  const sum = records.reduce((all, { amountMicros: amount }) => all + (amount ?? 0), 0);
  t.is((await metered.costs.book()).total.amounts['USD'], sum);
  t.is((await metered.settled('realm')).total.micros, sum);
  t.true(records.length > 20);
});
