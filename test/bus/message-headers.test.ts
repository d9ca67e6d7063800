/** Headers as they come over the wire, however their sender made them. */
import { type Msg, MsgHdrsImpl } from '@nats-io/nats-core';
import test from 'ava';
import { type MessageHeaders, readHeaders } from '#runtime/bus/message-headers';

const LINE = 'Nats-Request-Info:';
/** Far more than one pass over the longest block takes, far less than a pass for each of its lines. */
const SLOW_MS = 2_000;

function read(block: string): MessageHeaders {
  const bytes = Buffer.from(block);
  return readHeaders({ _msg: { hdr: bytes.byteLength }, _rdata: bytes } as unknown as Msg);
}

test('headers are read to the end of the block, the first of each name, whatever lies between', (t) => {
  const block =
    'NATS/1.0\r\ncontent-type: application/json\r\n\r\n\r\nIF-FROM: a/b\r\nno name\r\n: x\r\nIf-From: c/d\r\nNats-Msg-Id: 1\r\n\r\ntraceparent:00\r\n';
  t.deepEqual(read(block), {
    contentType: 'application/json',
    id: '1',
    from: 'a/b',
    trace: '00',
    info: undefined,
  });
  t.is(read(`${block}Content-Type: text\r\n\r\n`).contentType, 'application/json');
  t.is(read('NATS/1.0 503\r\n\r\n').info, undefined);
});

test('what the server says of the sender is its last line; where that begins within another it is unreadable', (t) => {
  const info = (...lines: string[]): string | undefined => read(lines.join('\r\n')).info;
  t.is(info('NATS/1.0', `${LINE} {1}`, '', ''), '{1}');
  t.is(info('NATS/1.0', `${LINE} {1}`, '', 'X: y', `${LINE} {2}`, '', ''), '{2}');
  t.is(info('NATS/1.0', 'Nats-Msg-Id: 1', '', 'X: y', '', `${LINE} {2}`, '', ''), '{2}');
  t.is(info('NATS/1.0', `${LINE} {"name":"${LINE} {1}"}`, '', ''), `{"name":"${LINE} {1}"}`);
  t.is(info('NATS/1.0', `X: ${LINE} {1}`, `${LINE} {2}`, '', ''), '{2}');
  // Another node hands on what it was sent in an order of its own.
  t.is(info('NATS/1.0', `${LINE} {1}`, 'If-From: a/b', '', ''), '{1}');
  t.is(info('NATS/1.0', `X: ab${LINE} {1}`, '', ''), '');
  t.is(info('NATS/1.0', `${LINE} {1}`, `X: ab${LINE} {2}`, '', ''), '');
  t.is(info('NATS/1.0', `X: ${LINE} {1}${LINE} {2}`, '', ''), '');
  t.is(info('NATS/1.0', `X: y\n${LINE} {1}`, '', ''), '');
  t.is(info(`NATS/1.0${LINE} {1}`, '', ''), '');
});

test('a client that keeps its bytes elsewhere is read by its own parser, and as carefully', (t) => {
  const parsed = (headers: () => unknown): MessageHeaders =>
    readHeaders(Object.defineProperty({}, 'headers', { get: headers }) as Msg);
  const hdrs = new MsgHdrsImpl();
  hdrs.set('If-From', 'a/b');
  t.like(
    parsed(() => hdrs),
    { from: 'a/b', info: undefined },
  );
  hdrs.append('Nats-Request-Info', '{1}');
  hdrs.append('Nats-Request-Info', '{2}');
  t.is(parsed(() => hdrs).info, '{2}');
  hdrs.set('X', `y${LINE} {3}`);
  t.is(parsed(() => hdrs).info, '');
  t.is(parsed(() => undefined).info, undefined);
  const thrown = parsed(() => {
    throw new Error('a line feed');
  });
  t.like(thrown, { from: undefined, info: '' });
});

test('a block of very many lines is read in one pass', (t) => {
  const startedAt = performance.now();
  for (const line of ['\r\n', 'a\r\n', 'a:\r\n', '::\r\n']) {
    read(`NATS/1.0\r\n${line.repeat(Math.floor(1_000_000 / line.length))}`);
  }
  t.true(performance.now() - startedAt < SLOW_MS);
});
