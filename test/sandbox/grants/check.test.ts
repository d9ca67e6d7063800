/** What a grant permits and what it refuses: tricks with names, quotas, time, revocation, secrets. */
import test from 'ava';
import fc from 'fast-check';
import { checkCall, NOTHING_USED, type Standing } from '#runtime/sandbox/grants/check';
import { LiveGrant } from '#runtime/sandbox/grants/live';
import type { HostCall } from '#runtime/sandbox/jail/types';
import { type Grant, grantSchema } from '#schemas/grant';
import { cases } from '../../rig/effort.ts';

/** As a grant names a variable of the node. */
const SECRET = ['$', '{env:TOKEN}'].join('');
const NOTHING = new Uint8Array(0);
const EVERYTHING = grantSchema.parse({
  emit: ['progress.*'],
  kv: [{ prefix: 'cache/', write: true }, { prefix: 'shared/' }],
  ask: [{ to: 'counter/k*', events: ['get', 'inc'] }],
  http: [
    {
      origin: 'https://api.example',
      path: '/v1',
      methods: ['GET', 'POST'],
      headers: { Authorization: SECRET },
    },
  ],
});

function verdict(call: HostCall, standing: Partial<Standing> = {}) {
  return checkCall({ grant: EVERYTHING, used: NOTHING_USED, ageMs: 0, isRevoked: false, ...standing }, call);
}

function codeOf(call: HostCall, standing: Partial<Standing> = {}): string {
  const said = verdict(call, standing);
  return said.ok ? 'ok' : said.kind.code;
}

const get = (url: string, headers: [string, string][] = [], method = 'GET'): HostCall => ({
  kind: 'http',
  method,
  url,
  headers,
  body: NOTHING,
});
const put = (key: string): HostCall => ({ kind: 'kv-put', key, value: new Uint8Array(10) });
const ask = (to: string, event: unknown): HostCall => ({
  kind: 'ask',
  to,
  event: JSON.stringify(event) ?? '',
});

test('what is listed is permitted', (t) => {
  t.is(codeOf({ kind: 'emit', name: 'progress.half', body: '{}' }), 'ok');
  t.is(codeOf({ kind: 'kv-get', key: 'shared/list' }), 'ok');
  t.is(codeOf(put('cache/a.b')), 'ok');
  t.is(codeOf(ask('counter/k1', { type: 'inc' })), 'ok');
  t.is(codeOf(get('https://api.example/v1')), 'ok');
  t.is(codeOf(get('https://api.example/v1/a?b=c', [], 'POST')), 'ok');
});

test('an empty grant permits nothing', (t) => {
  const grant = grantSchema.parse({});
  for (const call of [
    { kind: 'emit', name: 'progress', body: '' },
    { kind: 'kv-get', key: 'a' },
    put('a'),
    ask('counter/k1', { type: 'get' }),
    get('https://api.example/v1'),
  ] as HostCall[])
    t.is(codeOf(call, { grant }), 'grant_denied', call.kind);
});

test('names with a second reading are refused before they are compared', (t) => {
  for (const key of [
    'cache/../secret',
    'cache//a',
    'cache/*',
    'cache/>',
    'cache/a ',
    'cache/',
    '/cache/a',
    'cache/a\0',
    `cache/${'a'.repeat(300)}`,
  ])
    t.is(codeOf(put(key)), 'grant_bad_call', key);
  for (const to of [
    'counter',
    'counter/',
    'counter/*',
    'counter/k.>/x',
    'if://counter/k1',
    'Counter/k1',
    'counter/k1\n',
  ])
    t.is(codeOf(ask(to, { type: 'get' })), 'grant_bad_call', to);
  for (const event of ['get', null, [], { type: 1 }, { type: 'get\n' }, { type: 'xstate.init>' }])
    t.is(codeOf(ask('counter/k1', event)), 'grant_bad_call', JSON.stringify(event));
  t.is(codeOf({ kind: 'ask', to: 'counter/k1', event: '{' }), 'grant_bad_call');
  t.is(codeOf({ kind: 'emit', name: 'progress.half', body: '{' }), 'grant_bad_call');
  for (const name of ['', '*', 'progress.>', 'a b', 'progress.', '.progress'])
    t.is(codeOf({ kind: 'emit', name, body: '{}' }), 'grant_bad_call', name);
  for (const url of [
    'https://user:pw@api.example/v1',
    'https://api.example/v1/%2e%2e%2fadmin',
    'https://api.example/v1%5cadmin',
    'https://api.example\\@evil.example/v1',
    'https://api.example/v1 /x',
    'file:///etc/passwd',
    'javascript:1',
    'api.example/v1',
  ])
    t.is(codeOf(get(url)), 'grant_bad_call', url);
});

test('what only looks like what is listed is refused', (t) => {
  t.is(codeOf(put('shared/list')), 'grant_denied');
  t.is(codeOf(put('cachet/a')), 'grant_denied');
  t.is(codeOf(ask('counter/x1', { type: 'get' })), 'grant_denied');
  t.is(codeOf(ask('counter/k1', { type: 'reset' })), 'grant_denied');
  t.is(codeOf({ kind: 'emit', name: 'progres', body: '' }), 'grant_denied');
  for (const url of [
    'http://api.example/v1',
    'https://api.example:8443/v1',
    'https://api.example.evil/v1',
    'https://api.example/v12',
    'https://api.example/',
    'https://api.example/v1/../admin',
    'https://api.example/v1/%2e%2e/admin',
  ])
    t.is(codeOf(get(url)), 'grant_denied', url);
  t.is(codeOf(get('https://api.example/v1', [], 'DELETE')), 'grant_denied');
  t.is(codeOf(get('https://api.example/v1', [], 'get')), 'grant_denied');
});

test('headers of the grant stand before those of the guest, which names no secret and frames nothing', (t) => {
  const url = 'https://api.example/v1';
  const said = verdict(
    get(url, [
      ['authorization', 'mine'],
      ['Accept', 'text/plain'],
    ]),
  );
  t.like(said, {
    ok: true,
    headers: { accept: 'text/plain', authorization: SECRET },
  });
  for (const [name, value] of [
    ['x-mine', SECRET],
    ['host', 'evil.example'],
    ['Content-Length', '3'],
    ['Proxy-Authorization', 'x'],
    ['x\r\ny', 'z'],
  ] as const)
    t.is(codeOf(get(url, [[name, value]])), 'grant_bad_call', name);
});

test('no path climbs for a server that reads it otherwise', (t) => {
  const grant: Grant = {
    ...EVERYTHING,
    http: [{ ...EVERYTHING.http[0], path: '/v1' } as Grant['http'][number]],
  };
  for (const path of [
    '..;/admin',
    '..;a=b/admin',
    '%2e%2e;/x',
    '%252e%252e/x',
    '.%252e/x',
    '..%3b/x',
    'a%252fb',
    '.;/x',
  ])
    t.not(codeOf(get(`https://api.example/v1/${path}`), { grant }), 'ok', path);
  for (const path of ['a;b=c', '...', '..a', 'a..b', '%25', 'a%3b'])
    t.is(codeOf(get(`https://api.example/v1/${path}`), { grant }), 'ok', path);
});

test('no grant lets a guest report on its own component', (t) => {
  const grant: Grant = { ...EVERYTHING, ask: [{ to: 'component/*', events: ['*'] }] };
  const codes = ['component.ran', 'component.submit'].map((type) =>
    codeOf(ask('component/wc', { type, ms: 1, outcome: 'good' }), { grant }),
  );
  t.deepEqual(codes, ['grant_denied', 'ok']);
});

test('a grant ends: by its time, by its quotas, by whoever takes it back', (t) => {
  const call = put('cache/a');
  t.is(codeOf(call, { ageMs: EVERYTHING.ttlMs - 1 }), 'ok');
  t.is(codeOf(call, { ageMs: EVERYTHING.ttlMs }), 'grant_expired');
  t.is(codeOf(call, { isRevoked: true }), 'grant_revoked');
  const grant: Grant = { ...EVERYTHING, quotas: { ...EVERYTHING.quotas, calls: 3, kvBytes: 20 } };
  const clock = { now: () => 0 };
  const live = new LiveGrant(grant, clock);
  const code = (one: HostCall): string => {
    const said = live.check(one);
    return said.ok ? 'ok' : said.kind.code;
  };
  t.deepEqual([call, put('secret/x'), call, call].map(code), [
    'ok',
    'grant_denied',
    'ok',
    'grant_quota_exceeded',
  ]);
  const bytes = new LiveGrant({ ...grant, quotas: { ...grant.quotas, calls: 9 } }, clock);
  t.deepEqual(
    [call, call, call].map((one) => bytes.check(one).ok),
    [true, true, false],
  );
  const revoked = new LiveGrant(grant, clock);
  t.true(revoked.check(call).ok);
  revoked.revoke();
  t.false(revoked.check(call).ok);
});

test('no key leads out of its prefix, and no URL out of its origin and path', (t) => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom('a', 'cache', '/', '.', '..', '*', '>', ' ', '%2f', '\\'),
        maxLength: 8,
      }),
      (key) => {
        const isOk = codeOf(put(key)) === 'ok';
        return !isOk || (key.startsWith('cache/') && !key.includes('..') && !/[*> %\\]/.test(key));
      },
    ),
    { numRuns: cases(2_000, 400) },
  );
  fc.assert(
    fc.property(fc.webUrl({ withQueryParameters: true }), fc.string({ maxLength: 12 }), (url, tail) => {
      const text = `${url}${tail}`;
      return codeOf(get(text)) !== 'ok' || new URL(text).origin === 'https://api.example';
    }),
    { numRuns: cases(1_000, 200) },
  );
  t.pass();
});
