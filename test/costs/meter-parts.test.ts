import test from 'ava';
import fc from 'fast-check';
import { anthropic } from '#actors/costs/meter/anthropic';
import { Callers } from '#actors/costs/meter/callers';
import { Circuit } from '#actors/costs/meter/circuit';
import { keyOf, meterOf, readMeter } from '#actors/costs/meter/config';
import { EventSplitter } from '#actors/costs/meter/events';
import { forwarded, returned, traceOf } from '#actors/costs/meter/headers';
import { openai } from '#actors/costs/meter/openai';
import { readRequest } from '#actors/costs/meter/request';
import { payerOf, routeOf } from '#actors/costs/meter/route';
import { Tally } from '#actors/costs/meter/tally';
import { fieldsOf, withField } from '#actors/costs/meter/top-level';
import type { Endpoint } from '#actors/costs/meter/wire';
import type { Breakers } from '#actors/governor/breakers';
import { breakerErrors } from '#schemas/breaker';
import { FabricError } from '#schemas/fabric-error';

const endpoint = (path: string): Endpoint => {
  const found = [...openai.endpoints, ...anthropic.endpoints].find((one) => one.path === path);
  if (found === undefined) throw new Error(path);
  return found;
};
const CHAT = endpoint('/v1/chat/completions');

test('fields are found where they stand, whatever a body holds; one that comes twice is seen', (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 2), (data, indent) => {
      const text = JSON.stringify(data, null, indent);
      const fields = fieldsOf(text);
      t.deepEqual(new Set(fields?.keys()), new Set(Object.keys(JSON.parse(text) as object)));
      for (const [name, { from, to }] of fields ?? [])
        t.deepEqual(JSON.parse(text.slice(from, to)), (JSON.parse(text) as Record<string, unknown>)[name]);
      const changed = JSON.parse(withField(text, fields ?? new Map(), 'added', { x: 1 })) as Record<
        string,
        unknown
      >;
      t.deepEqual(changed, { ...(JSON.parse(text) as object), added: { x: 1 } });
    }),
  );
  t.is(fieldsOf('{"a":1,"\\u0061":2}'), undefined);
  t.is(fieldsOf('{"n":1, "m":{"n":2}}')?.size, 2);
});

test('events come out whole, however their bytes are cut and whatever ends their lines', (t) => {
  const events = fc.array(
    fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !/[\r\n]/.test(text)),
    { minLength: 1, maxLength: 10 },
  );
  fc.assert(
    fc.property(events, fc.constantFrom('\n', '\r\n'), fc.array(fc.nat({ max: 40 })), (texts, end, cuts) => {
      const all = Buffer.from(texts.map((text) => `event: x${end}data: ${text}${end}${end}`).join(''));
      const splitter = new EventSplitter();
      const got: ReturnType<EventSplitter['push']> = [];
      let at = 0;
      for (const cut of [...cuts, all.byteLength]) {
        got.push(...splitter.push(all.subarray(at, at + cut)));
        at = Math.min(all.byteLength, at + cut);
      }
      got.push(...splitter.end());
      t.deepEqual(
        got.map(({ data }) => data),
        texts,
      );
      t.deepEqual(Buffer.concat(got.map(({ bytes }) => bytes)), all);
    }),
  );
});

test('an event that never ends is not kept', (t) => {
  const splitter = new EventSplitter();
  const chunk = Buffer.alloc(2 ** 20, 'x');
  let passed = 0;
  for (let n = 0; n < 20; n += 1) for (const { bytes } of splitter.push(chunk)) passed += bytes.byteLength;
  t.true(splitter.isLost);
  t.is(passed, 20 * 2 ** 20);
});

test('a request is read as the provider reads it, and forwarded as it came', (t) => {
  const odd =
    '{ "model":"m", "seed":12345678901234567890, "messages":[ ],"max_tokens":5,"max_completion_tokens":9,"n":2 }';
  t.like(readRequest(odd, CHAT), {
    ok: true,
    wanted: { model: 'm', isStream: false, outputMax: 9, choices: 2, body: odd },
  });
  const stream = readRequest(
    '{"stream":true,"model":"m","stream_options":{"x":1},"seed":12345678901234567890}',
    CHAT,
  );
  t.like(stream, { ok: true, wanted: { isStream: true, isUsageHidden: true, outputMax: undefined } });
  t.is(
    stream.ok ? stream.wanted.body : '',
    '{"stream":true,"model":"m","stream_options":{"x":1,"include_usage":true},"seed":12345678901234567890}',
  );
  const asked = '{"stream":true,"model":"m","stream_options":{"include_usage":true}}';
  t.like(readRequest(asked, CHAT), { ok: true, wanted: { isUsageHidden: false, body: asked } });
  t.like(readRequest('{"model":"m","stream":true}', endpoint('/v1/messages')), {
    ok: true,
    wanted: { body: '{"model":"m","stream":true}' },
  });
  const wrong = [
    '',
    '[]',
    'null',
    '{"model":"m"',
    '{}',
    '{"model":5}',
    '{"model":"two words"}',
    '{"model":"cheap","model":"dear"}',
    '{"model":"m","max_tokens":-1}',
    '{"model":"m","max_tokens":1.5}',
    '{"model":"m","max_tokens":"9"}',
    '{"model":"m","n":0}',
    '{"model":"m","n":1e9}',
    '{"model":"m","stream":"yes"}',
  ];
  for (const text of wrong)
    t.like(readRequest(text, CHAT), { ok: false, refusal: { kind: 'bad_request' } }, text);
  t.false(readRequest('{"model":"m","background":true}', endpoint('/v1/responses')).ok);
});

test('a field that careless readers would take for one that counts is refused', (t) => {
  for (const field of [
    '"Model":"dear"',
    '"MAX_TOKENS":9',
    '"max_to\u212aens":9',
    '"\u017ftream":true',
    '"N":5',
  ])
    t.like(
      readRequest(`{"model":"m",${field}}`, CHAT),
      { ok: false, refusal: { kind: 'bad_request' } },
      field,
    );
  t.true(readRequest('{"model":"m","User":"x","Messages":[]}', CHAT).ok);
});

test('no body makes the reader throw', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => typeof readRequest(text, CHAT).ok === 'boolean'),
  );
  t.pass();
});

test('a path names the provider and who pays; one that could be read otherwise is none', (t) => {
  t.deepEqual(routeOf('/session/ndi/task/P0.1/openai/v1/chat/completions?x=1'), {
    provider: 'openai',
    path: '/v1/chat/completions',
    query: '?x=1',
    named: { session: 'ndi', task: 'P0.1' },
  });
  for (const path of [
    '',
    '/',
    '/openai',
    '//openai/v1',
    '/openai/../x',
    '/openai/./x',
    '/openai/%2e%2e/x',
    'http://evil/openai/v1',
    '/session/a/session/b/openai/v1',
    '/openai/v1\\x',
    '/openai/v1/chat/completions/',
    '/session/_x/openai/v1',
  ])
    t.is(routeOf(path), undefined, path);
});

test('a token that is of one session speaks for no other; one of none for any', (t) => {
  const route = routeOf('/session/a/openai/v1/embeddings');
  if (route === undefined) return t.fail();
  const any = { session: undefined, swarm: undefined, account: undefined };
  t.like(payerOf(any, route, { 'if-task': 't1' }), {
    ok: true,
    payer: { session: 'a', task: 't1', swarm: null },
  });
  t.like(payerOf({ ...any, session: 'a', account: 'x' }, route, {}), {
    ok: true,
    payer: { session: 'a', account: 'x' },
  });
  t.like(payerOf({ ...any, session: 'b' }, route, {}), { ok: false, refusal: { kind: 'forbidden' } });
  t.like(payerOf(any, route, { 'if-session': 'b' }), { ok: false, refusal: { kind: 'bad_request' } });
  t.like(payerOf(any, route, { 'if-task': '../x' }), { ok: false, refusal: { kind: 'bad_request' } });
});

test('callers are known by their tokens, wherever an SDK puts them', (t) => {
  const [one, two] = ['one-one-one-one-one', 'two-two-two-two-two'];
  const callers = new Callers([
    { token: one, session: 'a', swarm: undefined, account: undefined },
    { token: two, session: undefined, swarm: undefined, account: undefined },
  ]);
  t.is(callers.of({ authorization: `Bearer ${one}` })?.session, 'a');
  t.is(callers.of({ 'x-api-key': one })?.session, 'a');
  t.is(callers.of({ 'if-token': one, authorization: 'Bearer sk-of-the-caller' })?.session, 'a');
  t.truthy(callers.of({ 'x-api-key': two }));
  for (const headers of [
    {},
    { authorization: one },
    { authorization: 'Bearer no' },
    { 'x-api-key': '' },
    { 'if-token': 'no', 'x-api-key': one },
  ])
    t.is(callers.of(headers), undefined, JSON.stringify(headers));
  t.throws(() => new Callers([{ token: '', session: 'a', swarm: undefined, account: undefined }]), {
    code: 'meter_token_bad',
  });
});

test('credentials, cookies and what belongs to a connection do not go through', (t) => {
  const given = {
    authorization: 'Bearer local',
    'x-api-key': 'local',
    'if-session': 'a',
    cookie: 'x',
    connection: 'keep-alive, x-mine',
    'x-mine': '1',
    'transfer-encoding': 'chunked',
    'anthropic-version': '2023-06-01',
    host: '127.0.0.1',
    'accept-encoding': 'gzip',
  };
  t.deepEqual(forwarded(given, { key: ['x-api-key', 'real'], isKeyOfCaller: false }), {
    'anthropic-version': '2023-06-01',
    'accept-encoding': 'identity',
    'x-api-key': 'real',
  });
  t.like(forwarded(given, { key: undefined, isKeyOfCaller: true }), { authorization: 'Bearer local' });
  t.deepEqual(returned({ 'set-cookie': ['x'], 'content-type': 'a/b', connection: 'close' }), {
    'content-type': 'a/b',
  });
  const trace = '0af7651916cd43dd8448eb211c80319c';
  t.is(traceOf(`00-${trace}-b7ad6b7169203331-01`).id, trace);
  t.not(traceOf(`00-${'0'.repeat(32)}-b7ad6b7169203331-01`).id, '0'.repeat(32));
  t.regex(traceOf('nonsense').traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});

test('figures that are none do not count; what came is estimated then', (t) => {
  const chat = (usage: unknown) => {
    const tally = new Tally();
    tally.add(CHAT.answer({ id: 'x', usage }));
    return tally.result(401);
  };
  t.deepEqual(
    chat({ prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } }),
    {
      tokens: { input: 6, cachedInput: 4, cacheWrite: 0, cacheWriteLong: 0, output: 5 },
      counted: 'provider',
    },
  );
  const wrong = [
    undefined,
    null,
    'many',
    { prompt_tokens: -1, completion_tokens: 5 },
    { prompt_tokens: 1.5, completion_tokens: 5 },
    { prompt_tokens: 1e300, completion_tokens: 5 },
    { prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 11 } },
    { prompt_tokens: 10, completion_tokens: '5' },
  ];
  for (const usage of wrong)
    t.like(chat(usage), { counted: 'estimated', tokens: { input: 101 } }, JSON.stringify(usage));
  const aborted = new Tally();
  const messages = endpoint('/v1/messages');
  aborted.add(
    messages.event({
      type: 'message_start',
      message: { id: 'm', usage: { input_tokens: 70, output_tokens: 1 } },
    }),
  );
  for (const text of ['four', 'five!'])
    aborted.add(messages.event({ type: 'content_block_delta', delta: { text } }));
  t.deepEqual(aborted.result(4_000), {
    tokens: { input: 70, cachedInput: 0, cacheWrite: 0, cacheWriteLong: 0, output: 3 },
    counted: 'estimated',
  });
});

test('an answer that breaks off counts all that a model may have made out of sight', (t) => {
  const messages = endpoint('/v1/messages');
  const thinks = (text: string, of = CHAT) => {
    const reading = readRequest(text, of);
    return reading.ok && reading.wanted.thinks;
  };
  t.true(thinks('{"model":"m"}'));
  t.true(thinks('{"model":"m"}', endpoint('/v1/responses')));
  t.false(thinks('{"model":"m"}', endpoint('/v1/embeddings')));
  t.false(thinks('{"model":"m"}', messages));
  t.true(thinks('{"model":"m","thinking":{"type":"enabled","budget_tokens":1024}}', messages));
  t.false(readRequest('{"model":"m","Thinking":{"type":"enabled"}}', messages).ok);

  const output = (events: readonly object[], brokenOff?: Parameters<Tally['result']>[1]) => {
    const tally = new Tally();
    for (const event of events) tally.add(messages.event(event));
    return tally.result(400, brokenOff).tokens.output;
  };
  const text = { type: 'content_block_delta', delta: { text: 'four' } };
  const thought = { type: 'content_block_start', content_block: { type: 'redacted_thinking', data: 'x' } };
  const first = { type: 'message_start', message: { usage: { input_tokens: 9, output_tokens: 1 } } };
  const last = { type: 'message_delta', usage: { output_tokens: 70 } };
  t.is(output([first, text], { thinks: false, outputMax: 500 }), 1, 'all of it was seen');
  t.is(output([first, text], { thinks: true, outputMax: 500 }), 500);
  t.is(output([first, thought, text], { thinks: false, outputMax: 500 }), 500, 'it did think');
  t.is(output([first, thought, text]), 1, 'it came to its end, and told nothing');
  t.is(output([first, thought, text, last], { thinks: true, outputMax: 500 }), 70, 'its own figure');
});

test('the breaker of a provider is asked once a second while it is closed, and hears what says something', async (t) => {
  const [asked, told]: [string[], (readonly [boolean, string | undefined])[]] = [[], []];
  let answer: { readonly isProbe: boolean } | FabricError = { isProbe: false };
  const breakers = {
    may: async (id: string) => {
      asked.push(id);
      if (answer instanceof FabricError) throw answer;
      return answer;
    },
    report: async (_: string, ok: boolean, reason?: string) => void told.push([ok, reason]),
  } as unknown as Breakers;
  const circuit = new Circuit(breakers, 'provider:openai', ({ message }) => t.fail(message));
  t.deepEqual(await circuit.may(0), { ok: true, isProbe: false });
  t.deepEqual(await circuit.may(999), { ok: true, isProbe: false });
  t.deepEqual(asked, ['provider:openai']);
  circuit.answered(200, false);
  circuit.answered(429, false);
  circuit.answered(529, false);
  circuit.answered(200, false);
  circuit.answered(200, false);
  t.deepEqual(told, [
    [false, 'HTTP 529'],
    [true, undefined],
  ]);
  answer = new FabricError(breakerErrors.breaker_open, 'it is open');
  t.deepEqual(await circuit.may(999), {
    ok: false,
    refusal: { kind: 'provider_away', message: 'it is open' },
  });
  answer = { isProbe: true };
  t.deepEqual(await circuit.may(1_000), { ok: true, isProbe: true });
  circuit.answered(200, true);
  t.deepEqual(told.at(-1), [true, undefined]);
});

test('a config is checked with its places; keys are read from where it says, and told to nobody', (t) => {
  const problems = (text: string): string => {
    try {
      readMeter('meter.yaml', text);
      return '';
    } catch (thrown) {
      return (thrown as FabricError).message;
    }
  };
  const good =
    'providers:\n  openai: { wire: openai, url: "https://api.openai.com", keyEnv: OPENAI_API_KEY }\n';
  t.is(problems(good), '');
  t.regex(
    problems(good.replace('wire: openai', 'wire: openia')),
    /^meter\.yaml:2:19: .*did you mean "openai"/,
  );
  t.regex(problems(good.replace('https://api.openai.com', 'file:///etc')), /^meter\.yaml:2:32: .*http/);
  t.regex(problems(good.replace('keyEnv: OPENAI_API_KEY', 'keyEnv: A, keyFile: b')), /one of keyEnv/);
  t.regex(problems('providers: {}\n'), /name one at least/);
  t.regex(problems('- 1\n'), /no config of a meter/);
  const { openai: provider } = readMeter('meter.yaml', good).providers;
  if (provider === undefined) return t.fail();
  const path = (file: string): string => file;
  t.is(keyOf('openai', provider, { OPENAI_API_KEY: ' sk-1\n' }, path), 'sk-1');
  const bad = t.throws(() => keyOf('openai', provider, { OPENAI_API_KEY: 'two words' }, path)) as FabricError;
  t.is(bad.code, 'provider_key_missing');
  t.false(JSON.stringify(bad.toWire()).includes('two words'));
  t.throws(() => meterOf({}), { code: 'provider_key_missing' });
  t.deepEqual(Object.keys(meterOf({ ANTHROPIC_API_KEY: 'x' }).providers), ['anthropic']);
});
