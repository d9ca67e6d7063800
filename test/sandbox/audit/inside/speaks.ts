/** A process that was taken over: it writes what it likes. What it writes is the input of the task, as JavaScript sees it. */
import { writeSync } from 'node:fs';
import {
  encodeFrame,
  FRAME,
  fromText,
  toNumber,
  toText,
} from '../../../../runtime/sandbox/jail/child/frames.ts';
import { receive, send } from '../../../../runtime/sandbox/jail/child/wire.ts';

const NOT_LOADED = 'a result of what is not loaded';
const used = [toNumber(0), toNumber(0)];
const empty = new Uint8Array();

/** By name of what is said. */
const SAYINGS: Readonly<Record<string, () => void>> = {
  'ready twice': () => send(FRAME.ready, []),
  'loaded twice': () => send(FRAME.loaded, []),
  'a frame of four gigabytes': () => void writeSync(1, new Uint8Array([255, 255, 255, 255, 17])),
  'an empty frame': () => void writeSync(1, new Uint8Array(4)),
  'lengths that lie': () => void writeSync(1, new Uint8Array([6, 0, 0, 0, 17, 255, 0, 0, 0, 1])),
  'a kind nobody knows': () => void writeSync(1, new Uint8Array([1, 0, 0, 0, 99])),
  'a call nobody knows': () => send(FRAME.call, [toText('constructor')]),
  'a level nobody knows': () => send(FRAME.log, [toText('__proto__'), toText('x')]),
  'a field too many': () => send(FRAME.call, [toText('kv-get'), toText('a'), toText('b')]),
  'text that is none': () => send(FRAME.call, [toText('kv-get'), new Uint8Array([0xff])]),
  'headers that are none': () =>
    send(FRAME.call, [toText('http'), toText('GET'), toText('http://x/'), toText('a\r\nb: c'), empty]),
  'more fuel than it has': () => send(FRAME.done, [empty, toNumber(1e15), toNumber(0)]),
  'more output than it may': () => send(FRAME.done, [new Uint8Array(100_000), ...used]),
  'fuel that is no number': () => send(FRAME.done, [empty, toNumber(Number.NaN), toNumber(0)]),
  'two results': () =>
    void writeSync(1, Buffer.concat([0, 1].map(() => encodeFrame(FRAME.done, [empty, ...used])))),
  'a call in a call': () =>
    void writeSync(
      1,
      Buffer.concat([0, 1].map(() => encodeFrame(FRAME.call, [toText('kv-get'), toText('k')]))),
    ),
  'a flood of errors': () => {
    for (;;) writeSync(2, 'x'.repeat(60_000));
  },
  'a flood of lines': () => {
    for (;;) send(FRAME.log, [toText('info'), toText('x'.repeat(1_000))]);
  },
  'a flood of empty lines': () => {
    for (;;) send(FRAME.log, [toText('info'), empty]);
  },
  'nothing, and dies': () => process.exit(3),
};

send(FRAME.ready, []);
for (let frame = receive(); frame !== undefined; frame = receive()) {
  if (frame.kind !== FRAME.run) continue;
  const saying = fromText(frame.fields[1]);
  if (saying === NOT_LOADED) send(FRAME.done, [empty, ...used]);
  send(FRAME.loaded, []);
  SAYINGS[saying]?.();
}
